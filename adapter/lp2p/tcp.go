package lp2p

import (
	"context"
	"errors"
	"net"
)

// DialFunc connects to an address of package net, like net.Dialer's DialContext.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// WithTCP puts another network in the place of the system's TCP, as a simulated one:
// newTransport is the constructor of a libp2p transport for TCP addresses, in the
// form in which libp2p.Transport takes it, and dial connects to ask who answers at
// an address (see ProbeIdentity). Host names are still looked up by the system.
func WithTCP(newTransport any, dial DialFunc) Option {
	return func(o *options) error {
		if newTransport == nil || dial == nil {
			return errors.New("TCP needs a transport and a dialer")
		}
		o.tcp, o.dialTCP = newTransport, dial

		return nil
	}
}
