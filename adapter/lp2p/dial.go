package lp2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// dialAttempts is how often a dial begins anew because a connection that it shared
// was closed by its other users.
const dialAttempts = 3

// dialAddrTTL is how long libp2p keeps an address that was dialed. It differs from
// peerstore.TempAddrTTL, whose addresses identify removes at every disconnect.
const dialAddrTTL = 3 * time.Minute

// maxResolved is how many addresses of one host name are dialed.
const maxResolved = 16

// errConnLost is wrapped when the connection closed before the remote answered.
var errConnLost = errors.New("connection was lost during the handshake")

// Dial implements compat.Transport. Errors a caller may want to tell apart:
// *compat.RejectError (with Remote set when the remote refused), *WrongIDError,
// ErrNotLibp2p, ErrNoSessions, ErrBusy, ErrOnlyRelayed, *net.OpError, *net.DNSError,
// ctx.Err(). A configured host name is looked up at each dial.
func (t *Transport) Dial(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	return t.DialAs(ctx, addr, Identity{Key: t.key, NodeInfo: t.localNodeInfo()}, behavior)
}

// DialAs is Dial for an identity of which this node holds the key: the remote sees
// a peer with that ID, and that this node speaks for it. With the node's own key,
// or none, it is Dial with another NodeInfo.
func (t *Transport) DialAs(
	ctx context.Context, addr types.NetAddress, as Identity, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.tasks.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(t.ctx, cancel)
	defer stop()

	p, err := t.dial(ctx, addr, as, behavior)
	if err == nil {
		return p, nil
	}
	if t.ctx.Err() != nil {
		return nil, compat.ErrTransportClosed
	}

	return nil, fmt.Errorf("unable to dial %s: %w", addr.String(), err)
}

func (t *Transport) dial(
	ctx context.Context, addr types.NetAddress, as Identity, behavior compat.PeerBehavior,
) (*Peer, error) {
	if as.Key == nil {
		as.Key = t.key
	}
	if len(as.Key) != ed25519.PrivateKeySize || as.NodeInfo.ID() != (types.NodeKey{PrivKey: as.Key}).ID() {
		return nil, errors.New("node info and key of the identity do not belong together")
	}
	if err := addr.ID.Validate(); err != nil {
		return nil, err
	}
	if addr.ID == t.id {
		return nil, compat.Reject(compat.RejectSelf, "address of this node")
	}
	// What a host name stands for is looked up, and checked, when it is dialed.
	if t.gater.blockedID(addr.ID) || addr.Hostname == "" && t.gater.blockedIP(addr.IP) {
		return nil, banned()
	}

	id, err := t.lookUp(ctx, addr)
	if err != nil {
		id, err = t.lookUpRelayed(ctx, addr, err)
	}
	if err != nil {
		return nil, err
	}

	for attempt := 1; ; attempt++ {
		begun := time.Now()
		c, at, err := t.connectSomewhere(ctx, id, addr)
		if err != nil {
			return nil, err
		}
		// The connection may be one whose last session ends right now.
		shared := c.Stat().Opened.Before(begun)
		p, err := t.openSession(ctx, c, at, as, behavior)
		if err == nil || !shared || !errors.Is(err, errConnLost) || attempt == dialAttempts {
			return p, err
		}
	}
}

// connect returns a retained connection to the peer, which answers at this address:
// an open one, or a new one to exactly there.
func (t *Transport) connect(ctx context.Context, id peer.ID, addr types.NetAddress) (network.Conn, error) {
	maddrs, err := t.dialMultiaddrs(ctx, addr)
	if err != nil {
		return nil, err
	}

	for range dialAttempts {
		t.setAddrs(id, maddrs)
		c, err := t.host.Network().DialPeer(t.directly(ctx), id)
		if err != nil {
			return nil, dialError(addr, err)
		}
		if t.retain(c) {
			if err := t.prove(ctx, c, addr); err != nil {
				t.release(c)

				return nil, err
			}

			return c, nil
		}
		if err := t.awaitClosed(ctx, c); err != nil {
			return nil, err
		}
	}

	return nil, errConnLost
}

// setAddrs makes these the only addresses at which libp2p dials the peer now: what
// identify told earlier is not what we were asked to dial. Those through relays stay
// (see relaysOf).
func (t *Transport) setAddrs(id peer.ID, addrs []multiaddr.Multiaddr) {
	ps := t.host.Peerstore()
	if t.host.Network().Connectedness(id) != network.Connected {
		for _, old := range ps.Addrs(id) {
			if !slices.ContainsFunc(addrs, old.Equal) && !isCircuit(old) {
				ps.SetAddr(id, old, 0)
			}
		}
		// How long to wait after a failure is the switch's business.
		if s, ok := t.host.Network().(*swarm.Swarm); ok {
			s.Backoff().Clear(id)
		}
	}
	ps.AddAddrs(id, addrs, dialAddrTTL)
}

// dialMultiaddrs returns where to dial. A configured host name is looked up anew,
// and here: libp2p would not tell why it does not resolve.
func (t *Transport) dialMultiaddrs(ctx context.Context, addr types.NetAddress) ([]multiaddr.Multiaddr, error) {
	if addr.Hostname == "" {
		return t.opts.dialAddrs(addr.IP, addr.Port)
	}

	ctx, cancel := context.WithTimeout(ctx, t.opts.timeouts.Dial)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip", addr.Hostname)
	if err != nil {
		return nil, err
	}
	maddrs := make([]multiaddr.Multiaddr, 0, min(len(ips), maxResolved))
	for _, ip := range ips[:min(len(ips), maxResolved)] {
		here, err := t.opts.dialAddrs(ip, addr.Port)
		if err != nil {
			return nil, err
		}
		maddrs = append(maddrs, here...)
	}

	return maddrs, nil
}

// dialString is where to dial in the form of the net package, which resolves names
// anew too.
func dialString(addr types.NetAddress) string {
	if addr.Hostname != "" {
		addr.IP = nil // the name is resolved anew
	}

	return addr.DialString()
}

// dialError finds out whether somebody else answered.
func dialError(addr types.NetAddress, err error) error {
	var mismatch sec.ErrPeerIDMismatch
	if errors.As(err, &mismatch) {
		if wrong := checkFound(addr, mismatch.Actual); wrong != nil {
			return wrong
		}
	}
	if errors.Is(err, swarm.ErrGaterDisallowedConnection) {
		return fmt.Errorf("%w: %w", banned(), err)
	}

	return err
}

// openSession runs the dialer's handshake on a retained connection. The context
// and the handshake timeout bound it.
func (t *Transport) openSession(
	ctx context.Context, c network.Conn, addr types.NetAddress, as Identity, behavior compat.PeerBehavior,
) (p *Peer, err error) {
	defer func() { t.metrics.handshakes[dirOut].count(outcomeOf(err)) }()
	ctx, cancel := context.WithTimeout(ctx, t.opts.timeouts.Handshake)
	defer cancel()

	if err := errors.Join(t.gater.admits(c, addr.ID), t.checkRoom(c)); err != nil {
		t.release(c)

		return nil, err
	}
	control, err := openStream(ctx, c, SessionProtocol)
	if err != nil {
		t.release(c)
		if ctx.Err() != nil {
			err = fmt.Errorf("remote lets no control stream be opened in time: %w", err)
		}

		return nil, lost(c, err)
	}

	s := newSession(t, c, control, newEpoch(), true, behavior)
	if err := t.reserve(s.key, false); err != nil {
		t.tryEnd(func() { _ = control.Reset() })
		t.release(c)

		return nil, err
	}
	// Data streams may overtake the Accept.
	if err := t.activate(s); err != nil {
		s.abort()

		return nil, err
	}

	stop := context.AfterFunc(ctx, func() { _ = control.SetDeadline(longAgo) })
	node, err := s.dialHandshake(addr.ID, as)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		p, err = s.establish(remoteInfo{id: addr.ID, node: node}, &addr)
	}
	if err != nil {
		err = s.handshakeError(ctx, err)
		s.abort()

		return nil, err
	}
	t.learn(addr.ID, c.RemotePeer())

	return p, nil
}

// dialHandshake sends the Hello and checks the answer.
func (s *session) dialHandshake(id types.ID, as Identity) (types.NodeInfo, error) {
	raw, err := as.NodeInfo.MarshalBinary()
	if err != nil {
		return types.NodeInfo{}, err
	}
	h := &hello{version: sessionVersion, epoch: s.key.epoch, nodeInfo: raw}
	if !as.Key.Equal(s.t.key) {
		h.delegation = signDelegation(as.Key, s.key.epoch, s.t.host.ID(), s.conn.RemotePeer(),
			time.Now().Add(delegationLife))
	}
	if _, err := s.control.Write(appendControl(nil, h)); err != nil {
		return types.NodeInfo{}, fmt.Errorf("unable to send the hello: %w", err)
	}

	m, err := readControl(s.control)
	if err != nil {
		return types.NodeInfo{}, err
	}
	switch m := m.(type) {
	case *accept:
		node, err := s.checkAccept(m, id, as.NodeInfo)
		if err != nil {
			s.decline(err)
		}

		return node, err
	case *reject:
		s.t.metrics.rejects.received.count(outcomeOfCode(m.code))

		return types.NodeInfo{}, &compat.RejectError{Code: m.code, Reason: m.text, Remote: true}
	default:
		return types.NodeInfo{}, violation("hello answered by kind %d", m.kind())
	}
}

func (s *session) checkAccept(m *accept, id types.ID, local types.NodeInfo) (types.NodeInfo, error) {
	if m.epoch != s.key.epoch {
		return types.NodeInfo{}, violation("accept of another epoch")
	}
	node, err := decodeNodeInfo(m.nodeInfo, id)
	if err != nil {
		return types.NodeInfo{}, err
	}

	return node, compatible(local, node)
}

// decline tells a remote that has accepted us why we do not want it, and waits for
// it to have read that.
func (s *session) decline(reason error) {
	code, text := reasonOf(reason)
	if err := s.say(&goodbye{code: code, text: text}); err != nil {
		s.logger.Debug("goodbye was not sent", "err", err)

		return
	}
	s.t.tryEnd(func() { _ = s.control.CloseWrite() })
	_ = s.control.SetReadDeadline(time.Now().Add(s.t.opts.timeouts.Linger))
	s.control.drain()
}

// handshakeError says what a failure of the handshake means.
func (s *session) handshakeError(ctx context.Context, err error) error {
	s.mtx.Lock()
	ended, cause := s.ended, s.cause
	s.mtx.Unlock()

	var (
		reset *network.StreamError
		na    multistream.ErrNotSupported[protocol.ID]
	)
	switch {
	case ended:
		return cause
	case ctx.Err() != nil:
		return fmt.Errorf("session handshake was not finished in time: %w", ctx.Err())
	case errors.As(err, &reset) && reset.Remote && reset.ErrorCode == network.StreamRateLimited:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case errors.As(err, &reset) && reset.Remote && reset.ErrorCode == network.StreamProtocolNegotiationFailed,
		errors.As(err, &na):
		return fmt.Errorf("%w: %w", ErrNoSessions, err)
	case errors.As(err, &reset) && reset.Remote && reset.ErrorCode == network.StreamShutdown:
		return fmt.Errorf("%w: %w", errConnLost, err) // its last session has just ended there
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		// Who refuses says so: an end without an answer is that of the connection.
		return fmt.Errorf("%w: remote ended the session handshake: %w", errConnLost, err)
	default:
		return lost(s.conn, err)
	}
}

// lost marks an error that a closed connection has caused. QUIC says so by the
// error, which may come before the connection counts as closed.
func lost(c network.Conn, err error) error {
	var closed *network.ConnError
	if errors.As(err, &closed) {
		_ = c.Close() // so that the next dial does not find it; it is dead already
	}
	if c.IsClosed() {
		return fmt.Errorf("%w: %w", errConnLost, err)
	}

	return err
}
