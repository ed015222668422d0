package lp2p

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/security/noise/pb"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// firstContact returns the peer ID behind the address's TM2 ID, as lookUp does. Where that takes a
// connection, the next dial of the peer ID at the same IP and port uses it. The caller calls
// leave as soon as it has dialed, which closes a connection that was not used: nothing serves it,
// but the remote, which may dial this node at the same time, takes it for one to use. leave is
// never nil.
func (t *Transport) firstContact(ctx context.Context, addr types.NetAddress) (id peer.ID, leave func(), err error) {
	if id, ok := p2paddr.Known(t.book, addr.ID); ok {
		return id, func() {}, nil
	}
	dialer := t.contactDialer()
	if dialer == nil || !dialer.contacts.begin(addr.ID) {
		id, err := t.ask(ctx, addr)

		return id, func() {}, err
	}
	defer dialer.contacts.end(addr.ID)
	limit := t.opts.timeouts.Dial
	c, err := asked(ctx, t, addr, func(ctx context.Context, at types.NetAddress) (transport.CapableConn, error) {
		return reach(ctx, t.probeDial, limit, at.DialString(), func(ctx context.Context, conn net.Conn) (transport.CapableConn, error) {
			return dialer.contact(ctx, conn, at)
		})
	}, transport.CapableConn.RemotePeer)
	if err != nil && c != nil {
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return "", func() {}, err
	}

	return c.RemotePeer(), dialer.contacts.offer(c), nil
}

// contactDialer returns the transport that can make a connection to a peer of which only the
// TM2 ID is known, or nil if peers are asked and dialed apart: QUIC is dialed beside TCP, and
// go-libp2p's TLS reveals this node's ID before the other one's can be checked.
func (t *Transport) contactDialer() *tcpTransport {
	s, ok := t.host.Network().(*swarm.Swarm)
	if !ok || t.opts.quic != quicOff || t.opts.security != SecurityNoise {
		return nil
	}
	at, err := p2paddr.TCPMultiaddr(net.IPv4zero, 1)
	if err != nil {
		return nil
	}
	dialer, _ := s.TransportForDialing(at).(*tcpTransport)

	return dialer
}

// stranger stands for the peer ID that is not known yet; the upgrader wants one.
const stranger peer.ID = "unknown"

// contact makes a libp2p connection of one that is open to the address, if the remote proves to
// have its TM2 ID. It owns conn.
func (t *tcpTransport) contact(ctx context.Context, conn net.Conn, addr types.NetAddress) (transport.CapableConn, error) {
	at, err := p2paddr.TCPMultiaddr(addr.IP, addr.Port)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c, err := newTCPConn(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c.remote = at
	scope := newLateScope(func(peer.ID) (network.ConnManagementScope, error) {
		return t.resources.OpenConnection(network.DirOutbound, true, at)
	})
	check := &contact{check: func(id peer.ID) error { return checkFound(addr, id) }}
	upgraded, err := t.contacting.Upgrade(context.WithValue(ctx, contactKey{}, check), t, c, network.DirOutbound, stranger, scope)
	switch {
	case check.err != nil:
		return nil, check.err
	case err != nil && scope.refused != nil: // the upgrader does not tell why
		return nil, forbidden(scope.refused)
	default:
		return upgraded, err
	}
}

// newContactUpgrader returns an upgrader for connections to peers whose peer ID is not known.
func (o *options) newContactUpgrader(n *noise.Transport, rm network.ResourceManager, g *gater) (transport.Upgrader, error) {
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: newMuxer(o.timeouts)}}
	security := []sec.SecureTransport{contactNoise{n}}
	if g == nil {
		return upgrader.New(security, muxers, nil, rm, nil)
	}

	return upgrader.New(security, muxers, nil, rm, g)
}

// contactNoise is Noise for connections to peers whose peer ID is not known. The context of
// SecureOutbound holds a *contact.
type contactNoise struct{ *noise.Transport }

// SecureOutbound implements sec.SecureTransport.
func (n contactNoise) SecureOutbound(ctx context.Context, insecure net.Conn, _ peer.ID) (sec.SecureConn, error) {
	m := ctx.Value(contactKey{}).(*contact)
	session, err := n.WithSessionOptions(noise.DisablePeerIDCheck(), noise.EarlyData(m, nil))
	if err != nil {
		return nil, err
	}
	c, err := secureTuned(ctx, insecure, "", session.SecureOutbound)
	if tuned, ok := c.(*tunedConn); ok {
		tuned.muxer = m.muxer
	}

	return c, err
}

type contactKey struct{}

// contact judges the remote of a Noise handshake before this node shows its own ID, and
// agrees on the muxer (libp2p noise specification, early data).
type contact struct {
	check func(peer.ID) error
	err   error       // of check
	muxer protocol.ID // that both sides have; empty: none was agreed on
}

var _ noise.EarlyDataHandler = (*contact)(nil)

// Received implements noise.EarlyDataHandler.
func (m *contact) Received(_ context.Context, _ net.Conn, theirs *pb.NoiseExtensions) error {
	if slices.Contains(theirs.GetStreamMuxers(), yamux.ID) {
		m.muxer = yamux.ID
	}

	return nil
}

// Send implements noise.EarlyDataHandler. The handshake fails when it closes the connection.
func (m *contact) Send(_ context.Context, conn net.Conn, remote peer.ID) *pb.NoiseExtensions {
	if m.err = m.check(remote); m.err != nil {
		_ = conn.Close() // check says more
	}

	return &pb.NoiseExtensions{StreamMuxers: []string{yamux.ID}}
}

// contacts are connections to peers whose peer IDs have just been learned, for the dials of these
// peers. The zero value is empty.
type contacts struct {
	mtx   sync.Mutex
	begun map[types.ID]bool // first contacts under way
	conns []transport.CapableConn
}

// begin reports whether the first contact with the peer begins, and false if one is under way:
// of several dials at once, as a bridge makes them, one keeps its connection. The others would
// only use up what a peer may have.
func (c *contacts) begin(id types.ID) bool {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if c.begun[id] {
		return false
	}
	if c.begun == nil {
		c.begun = make(map[types.ID]bool)
	}
	c.begun[id] = true

	return true
}

func (c *contacts) end(id types.ID) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	delete(c.begun, id)
}

// offer makes the next dial of the peer at the address return the connection. The returned
// function takes the offer back, and closes the connection if it was not used.
func (c *contacts) offer(conn transport.CapableConn) (leave func()) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	c.conns = append(c.conns, conn)

	return func() {
		c.mtx.Lock()
		i := slices.Index(c.conns, conn)
		if i >= 0 {
			c.conns = slices.Delete(c.conns, i, i+1)
		}
		c.mtx.Unlock()
		if i >= 0 {
			_ = conn.Close() // nobody has used it
		}
	}
}

// take returns an open connection to the peer at IP:port, or nil.
func (c *contacts) take(address string, p peer.ID) transport.CapableConn {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	for i, conn := range c.conns {
		_, at, err := manet.DialArgs(conn.RemoteMultiaddr())
		if err == nil && at == address && conn.RemotePeer() == p && !conn.IsClosed() {
			c.conns = slices.Delete(c.conns, i, i+1)

			return conn
		}
	}

	return nil
}
