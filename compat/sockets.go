package compat

import (
	"context"
	"net"
)

// Sockets connects and listens as package net does over TCP. Transports take one in place of
// the system's, for example a simulated network. Its methods may be called concurrently.
type Sockets interface {
	// DialContext is net.Dialer.DialContext.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	// Listen is net.Listen.
	Listen(network, address string) (net.Listener, error)
}
