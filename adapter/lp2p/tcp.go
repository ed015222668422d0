package lp2p

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/internal/proxied"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// tcpTransport is libp2p's TCP transport with listeners of our own, which share an
// entrance (docs/decisions/0014-a-tcp-listener-of-our-own.md).
type tcpTransport struct {
	*tcp.TcpTransport
	*options
	entrance  *entrance
	upgrader  transport.Upgrader
	resources network.ResourceManager

	contacting transport.Upgrader // of connections to peers whose peer ID is not known
	contacts   *contacts
}

var (
	_ transport.Transport = (*tcpTransport)(nil)
	_ io.Closer           = (*tcpTransport)(nil)
)

// newTCP returns the constructor that libp2p calls.
func (o *options) newTCP(g *gater) any {
	return func(u transport.Upgrader, rm network.ResourceManager, key crypto.PrivKey) (*tcpTransport, error) {
		// If nodes dialed from their listening ports, crossed dials would collide in TCP.
		t, err := tcp.NewTCPTransport(u, rm, nil, tcp.DisableReuseport(), tcp.WithConnectionTimeout(o.timeouts.Dial))
		if err != nil {
			return nil, err
		}
		n, err := noise.New(noise.ID, key, nil)
		if err != nil {
			return nil, err
		}
		contacting, err := o.newContactUpgrader(n, rm, g)

		return &tcpTransport{
			TcpTransport: t, options: o, entrance: newEntrance(o, g),
			upgrader: u, contacting: contacting, contacts: new(contacts), resources: rm,
		}, err
	}
}

// Listen implements transport.Transport.
func (t *tcpTransport) Listen(at multiaddr.Multiaddr) (transport.Listener, error) {
	family, address, err := manet.DialArgs(at)
	if err != nil {
		return nil, err
	}
	listen := net.Listen
	if t.sockets != nil {
		listen = t.sockets.Listen
	}
	l, err := listen(family, address)
	if err != nil {
		return nil, err
	}

	return t.serve(l)
}

// Close implements io.Closer. The host calls it when all listeners are closed.
func (t *tcpTransport) Close() error {
	t.entrance.inbound.Close()

	return nil
}

// DialWithUpdates implements transport.DialUpdater.
func (t *tcpTransport) DialWithUpdates(
	ctx context.Context, at multiaddr.Multiaddr, p peer.ID, updates chan<- transport.DialUpdate,
) (transport.CapableConn, error) {
	family, address, err := manet.DialArgs(at)
	if err != nil {
		return nil, err
	}
	if c := t.contacts.take(address, p); c != nil {
		return c, nil
	}
	conn := t.opened(address)
	if conn == nil && t.sockets != nil {
		dialCtx, cancel := context.WithTimeout(ctx, t.timeouts.Dial)
		defer cancel()
		if conn, err = t.sockets.DialContext(dialCtx, family, address); err != nil {
			return nil, err
		}
	}
	if conn != nil {
		return t.upgradeOpened(ctx, conn, at, p)
	}

	return t.TcpTransport.DialWithUpdates(ctx, at, p, updates)
}

// upgradeOpened makes a libp2p connection of one that is open.
func (t *tcpTransport) upgradeOpened(
	ctx context.Context, conn net.Conn, at multiaddr.Multiaddr, p peer.ID,
) (transport.CapableConn, error) {
	c, err := newTCPConn(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	scope, err := t.resources.OpenConnection(network.DirOutbound, true, at)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := scope.SetPeer(p); err != nil {
		scope.Done()

		return nil, errors.Join(err, conn.Close())
	}

	return t.upgrader.Upgrade(ctx, t, c, network.DirOutbound, p, scope)
}

// upgrade makes a libp2p connection of one whose remote has begun to speak.
func (t *tcpTransport) upgrade(ctx context.Context, conn *sniff.PeekedConn) (transport.CapableConn, error) {
	abandonAtClose(conn.Conn)
	ctx, cancel := context.WithTimeout(ctx, t.entrance.timeouts.Dial)
	defer cancel()
	c, err := newTCPConn(conn)
	if err != nil {
		return nil, err
	}
	scope := newLateScope(func(p peer.ID) (network.ConnManagementScope, error) {
		return openProved(t.resources, true, c.remote, p)
	})
	upgraded, err := t.upgrader.Upgrade(ctx, t, c, network.DirInbound, "", scope)
	if err != nil && scope.refused != nil {
		err = scope.refused // the upgrader does not tell why
	}

	return upgraded, err
}

// tcpConn is an inbound connection with its addresses: the remote's is that of the client
// of a proxy.
type tcpConn struct {
	net.Conn
	local, remote multiaddr.Multiaddr
}

var _ manet.Conn = (*tcpConn)(nil)

func newTCPConn(conn net.Conn) (*tcpConn, error) {
	local, err := p2paddr.FromTCPAddr(conn.LocalAddr())
	if err != nil {
		return nil, err
	}
	remote, err := p2paddr.FromTCPAddr(conn.RemoteAddr())
	if err != nil {
		return nil, err
	}

	return &tcpConn{Conn: conn, local: local, remote: remote}, nil
}

// LocalMultiaddr implements manet.Conn.
func (c *tcpConn) LocalMultiaddr() multiaddr.Multiaddr { return c.local }

// RemoteMultiaddr implements manet.Conn.
func (c *tcpConn) RemoteMultiaddr() multiaddr.Multiaddr { return c.remote }

// NetConn returns the connection below, for socket.NewDrain.
func (c *tcpConn) NetConn() net.Conn { return c.Conn }

// SyscallConn implements syscall.Conn, so that options of the socket can be set.
func (c *tcpConn) SyscallConn() (syscall.RawConn, error) { return socket.Raw(c.Conn) }

// abandonAtClose makes the connection not stay in TIME-WAIT after its close, as libp2p does
// with its own. What is unsent then is lost.
func abandonAtClose(conn net.Conn) {
	if c, ok := conn.(*proxied.Conn); ok {
		conn = c.Conn
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails on a closed connection
	}
}
