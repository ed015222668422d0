package simulation

import (
	"context"
	"fmt"
	"strconv"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/simulation/simnet"
)

// tcpTransport replaces libp2p's TCP transport, which cannot use another listener, on a
// simulated host.
type tcpTransport struct {
	upgrader  transport.Upgrader
	resources network.ResourceManager
	host      *simnet.Host
}

var _ transport.Transport = (*tcpTransport)(nil)

// onHost makes a transport use the host instead of the system's TCP.
func onHost(h *simnet.Host) lp2p.Option {
	return lp2p.WithTCP(libp2p.Transport(func(u transport.Upgrader, resources network.ResourceManager) *tcpTransport {
		return &tcpTransport{upgrader: u, resources: resources, host: h}
	}), h.DialContext)
}

// Dial implements transport.Transport.
func (t *tcpTransport) Dial(ctx context.Context, to multiaddr.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	scope, err := t.resources.OpenConnection(network.DirOutbound, true, to)
	if err != nil {
		return nil, err
	}
	c, err := t.dial(ctx, to, p, scope)
	if err != nil {
		scope.Done()

		return nil, err
	}

	return c, nil
}

func (t *tcpTransport) dial(
	ctx context.Context, to multiaddr.Multiaddr, p peer.ID, scope network.ConnManagementScope,
) (transport.CapableConn, error) {
	if err := scope.SetPeer(p); err != nil {
		return nil, err
	}
	name, address, err := manet.DialArgs(to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lp2p.DefaultTimeouts().Dial)
	defer cancel()
	raw, err := t.host.DialContext(ctx, name, address)
	if err != nil {
		return nil, err
	}
	c, err := manet.WrapNetConn(raw)
	if err != nil {
		return nil, err
	}

	return t.upgrader.Upgrade(ctx, t, c, network.DirOutbound, p, scope) // closes it if it fails
}

// Listen implements transport.Transport.
func (t *tcpTransport) Listen(addr multiaddr.Multiaddr) (transport.Listener, error) {
	text, err := addr.ValueForProtocol(multiaddr.P_TCP)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port of %s: %w", addr, err)
	}
	l, err := t.host.Listen(uint16(port))
	if err != nil {
		return nil, err
	}
	wrapped, err := manet.WrapNetListener(l)
	if err != nil {
		return nil, err
	}

	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(wrapped)), nil
}

// CanDial implements transport.Transport.
func (*tcpTransport) CanDial(addr multiaddr.Multiaddr) bool {
	return len(addr) == 2 && addr[0].Code() == multiaddr.P_IP4 && addr[1].Code() == multiaddr.P_TCP
}

// Protocols implements transport.Transport.
func (*tcpTransport) Protocols() []int { return []int{multiaddr.P_TCP} }

// Proxy implements transport.Transport.
func (*tcpTransport) Proxy() bool { return false }
