package lp2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// decodeNodeInfo decodes and checks the remote's NodeInfo, which must have the ID that the
// remote has proved. Errors are refusals.
func decodeNodeInfo(raw []byte, id types.ID) (types.NodeInfo, error) {
	var node types.NodeInfo
	if err := node.UnmarshalBinary(raw); err != nil {
		return node, compat.Reject(compat.RejectInvalid, "%v", err)
	}
	if err := node.Validate(); err != nil {
		return node, compat.Reject(compat.RejectInvalid, "%v", err)
	}
	if node.ID() != id {
		return node, compat.Reject(compat.RejectIdentity, "node info has the ID %s instead of %s", node.ID(), id)
	}

	return node, nil
}

// compatible refuses a NodeInfo that is not compatible with the local one by TM2's rules.
func compatible(local, remote types.NodeInfo) error {
	if err := local.CompatibleWith(remote); err != nil {
		return compat.Reject(compat.RejectIncompatible, "%v", err)
	}

	return nil
}

// connInfo describes the connection of a session to the switch.
func connInfo(
	remote multiaddr.Multiaddr, id types.ID, behavior compat.PeerBehavior, outbound bool,
) compat.ConnInfo {
	info := compat.ConnInfo{
		Outbound: outbound, Persistent: behavior.IsPersistentPeer(id), Private: behavior.IsPrivatePeer(id),
		SocketAddr: &types.NetAddress{ID: id},
	}
	if ip, port, ok := p2paddr.Endpoint(remote); ok {
		info.RemoteIP = ip
		info.SocketAddr.IP, info.SocketAddr.Port = ip, port
	}

	return info
}

// errConnLost is wrapped when the connection closed before the remote answered.
var errConnLost = errors.New("connection was lost during the handshake")

// openSession runs the dialer's handshake on a retained connection, within the context and
// the handshake timeout. If it fails it releases the connection.
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
	ctrl, err := stream.Open(ctx, c, SessionProtocol)
	if err != nil {
		t.release(c)
		if ctx.Err() != nil {
			err = fmt.Errorf("remote lets no control stream be opened in time: %w: %w", ctx.Err(), err)
		}

		return nil, lost(c, forbidden(err))
	}

	s := newSession(t, c, ctrl, control.NewEpoch(), true, as.NodeInfo.Channels, behavior)
	if err := t.sessions.reserve(s.key, false); err != nil {
		t.tryEnd(func() { _ = ctrl.Reset() })
		t.release(c)

		return nil, err
	}
	// Data streams may overtake the Accept.
	if err := t.sessions.activate(s); err != nil {
		s.abort()

		return nil, err
	}

	stop := context.AfterFunc(ctx, func() { _ = ctrl.SetDeadline(stream.LongAgo) })
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
	t.noteAnswer(addr.ID, c)

	return p, nil
}

// dialHandshake sends the Hello and checks the answer.
func (s *session) dialHandshake(id types.ID, as Identity) (types.NodeInfo, error) {
	raw, err := as.NodeInfo.MarshalBinary()
	if err != nil {
		return types.NodeInfo{}, err
	}
	h := &control.Hello{Version: control.Version, Epoch: s.key.epoch, NodeInfo: raw}
	if !as.Key.Equal(s.t.key) {
		if as.Host.IsValid() {
			h.Version = control.HostVersion
		}
		h.Delegation = control.SignDelegation(as.Key, as.Host, s.key.epoch, s.t.host.ID(), s.conn.RemotePeer(),
			s.t.opts.now().Add(control.DelegationLife))
	}
	if _, err := s.control.Write(control.Append(nil, h)); err != nil {
		return types.NodeInfo{}, fmt.Errorf("unable to send the hello: %w", err)
	}

	m, err := control.Read(s.control)
	if err != nil {
		return types.NodeInfo{}, err
	}
	switch m := m.(type) {
	case *control.Accept:
		if h.Delegation != nil {
			s.t.clock.noteAcceptance(voterAt(s.conn.RemoteMultiaddr()), time.Now())
		}
		node, err := s.checkAccept(m, id, as.NodeInfo)
		if err != nil {
			s.decline(err)
		}

		return node, err
	case *control.Reject:
		s.t.metrics.rejects.received.count(outcomeOfCode(m.Code))
		if h.Delegation != nil && m.Code == compat.RejectIdentity {
			s.t.clock.noteRefusal(voterAt(s.conn.RemoteMultiaddr()), m.Text, time.Now())
		}

		return types.NodeInfo{}, &compat.RejectError{Code: m.Code, Reason: m.Text, Remote: true}
	default:
		return types.NodeInfo{}, control.Violation("hello answered by kind %d", m.Kind())
	}
}

func (s *session) checkAccept(m *control.Accept, id types.ID, local types.NodeInfo) (types.NodeInfo, error) {
	if m.Epoch != s.key.epoch {
		return types.NodeInfo{}, control.Violation("accept of another epoch")
	}
	node, err := decodeNodeInfo(m.NodeInfo, id)
	if err != nil {
		return types.NodeInfo{}, err
	}

	return node, compatible(local, node)
}

// decline tells a remote that has accepted the session why this node refuses it, and waits
// until the remote has read that, or the handshake has to end.
func (s *session) decline(reason error) {
	if err := s.say(goodbyeFor(reason)); err != nil {
		s.logger.Debug("goodbye was not sent", "err", err)

		return
	}
	s.t.tryEnd(func() { _ = s.control.CloseWrite() })
	// A later deadline could replace the one with which the context has ended the handshake.
	timer := time.AfterFunc(s.t.opts.timeouts.Linger, func() { _ = s.control.SetReadDeadline(stream.LongAgo) })
	defer timer.Stop()
	s.control.Drain()
}

// handshakeError classifies a failure of the handshake.
func (s *session) handshakeError(ctx context.Context, err error) error {
	s.mtx.Lock()
	ended, cause := s.ended, s.cause
	s.mtx.Unlock()

	switch {
	case ended:
		return cause
	case errors.As(err, new(*compat.RejectError)):
		return err // also if telling the remote took the rest of the time
	case ctx.Err() != nil:
		return fmt.Errorf("session handshake was not finished in time: %w", ctx.Err())
	case stream.IsResetWith(err, network.StreamRateLimited, network.StreamResourceLimitExceeded):
		return fmt.Errorf("%w: %w", compat.ErrBusy, err)
	case errors.Is(err, stream.ErrUnsupported):
		return &compat.ForeignError{Answered: "libp2p", Proved: true, Err: fmt.Errorf("%w: %w", ErrNoSessions, err)}
	case stream.IsResetWith(err, network.StreamShutdown, network.StreamNoError):
		// The remote is closing the connection after its last session. We reset the stream
		// with a code then; libp2p does so without one once it has begun to close.
		return fmt.Errorf("%w: %w", errConnLost, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		// A remote that refuses sends a Reject, so the connection has ended.
		return fmt.Errorf("%w: remote ended the session handshake: %w", errConnLost, err)
	default:
		return lost(s.conn, err)
	}
}

// lost makes an error over a closed connection wrap errConnLost.
func lost(c network.Conn, err error) error {
	if !stream.IsLost(err) && !c.IsClosed() {
		return err
	}
	_ = c.Close() // it is dead; libp2p would still offer it to the next dial

	return fmt.Errorf("%w: %w", errConnLost, err)
}
