package lp2p

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// stuckConn is a connection whose remote reads nothing: the end of a stream blocks, as it
// does in yamux while the send queue is full.
type stuckConn struct {
	network.Conn
	opened, goOn chan struct{} // unless nil: told of a stream, and awaited then
	free         chan struct{} // closed when the remote takes something again
}

func (c *stuckConn) NewStream(ctx context.Context) (network.Stream, error) {
	s, err := c.Conn.NewStream(ctx)
	if err != nil {
		return nil, err
	}
	if c.opened != nil {
		close(c.opened)
		<-c.goOn
	}

	return &stuckStream{s, c.free}, nil
}

type stuckStream struct {
	network.Stream
	free chan struct{}
}

func (s *stuckStream) Reset() error      { <-s.free; return s.Stream.Reset() }
func (s *stuckStream) CloseWrite() error { <-s.free; return s.Stream.CloseWrite() }
func (s *stuckStream) ResetWithError(code network.StreamErrorCode) error {
	<-s.free

	return s.Stream.ResetWithError(code)
}

// soon shortens the time for goodbyes, and sets that for a handshake.
func soon(handshake time.Duration) Option {
	timeouts := patientTimeouts()
	timeouts.Handshake, timeouts.Linger = handshake, 50*time.Millisecond

	return WithTimeouts(timeouts)
}

// stuckDial returns a retained connection to the remote that is stuck until the test
// ends.
func (n *node) stuckDial(t *testing.T, to *raw) *stuckConn {
	t.Helper()
	to.listen()
	n.Host().Peerstore().AddAddrs(to.host.ID(), to.host.Addrs(), time.Hour)
	c, err := n.Host().Network().DialPeer(timeout(t), to.host.ID())
	require.NoError(t, err)
	stuck := &stuckConn{Conn: c, free: make(chan struct{})}
	t.Cleanup(func() { close(stuck.free) })
	require.True(t, n.retain(stuck))

	return stuck
}

func (n *node) awaitNoConns(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		n.mtx.Lock()
		defer n.mtx.Unlock()
		n.sessions.mtx.Lock()
		defer n.sessions.mtx.Unlock()

		return len(n.conns) == 0 && len(n.sessions.entries) == 0
	}, patience, time.Millisecond)
}

// address is where the host listens.
func (r *raw) address() types.NetAddress {
	r.t.Helper()
	ip, port, ok := p2paddr.Endpoint(r.host.Network().ListenAddresses()[0])
	require.True(r.t, ok)

	return types.NetAddress{ID: r.key.ID(), IP: ip, Port: port}
}

// accept accepts sessions, and reads nothing from them.
func (r *raw) accept() {
	r.t.Helper()
	body, err := r.info.MarshalBinary()
	require.NoError(r.t, err)
	r.host.SetStreamHandler(ChannelProtocol, func(network.Stream) {})
	r.host.SetStreamHandler(SessionProtocol, func(s network.Stream) {
		if m, err := control.Read(s); err == nil {
			_, _ = s.Write(control.Append(nil, &control.Accept{Epoch: m.(*control.Hello).Epoch, NodeInfo: body}))
		}
	})
}

// A stream whose reset blocks does not block a dial.
func TestStuckDial(t *testing.T) {
	n, r := newNode(t, nil, soon(50*time.Millisecond)), newRaw(t)
	r.host.SetStreamHandler(SessionProtocol, func(network.Stream) {}) // answers nothing
	c := n.stuckDial(t, r)
	ended := make(chan error, 1)
	go func() {
		_, err := n.openSession(context.Background(), c, r.address(), Identity{Key: n.Transport.key, NodeInfo: n.info}, n.behavior)
		ended <- err
	}()
	select {
	case err := <-ended:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case <-timeout(t).Done():
		require.Fail(t, "the dial waits for the remote")
	}
	n.awaitNoConns(t)
}

// Nor does it block the end of a session and its connection.
func TestStuckSession(t *testing.T) {
	n, r := newNode(t, nil, soon(patience)), newRaw(t)
	r.accept()
	c := n.stuckDial(t, r)
	p, err := n.openSession(timeout(t), c, r.address(), Identity{Key: n.Transport.key, NodeInfo: n.info}, n.behavior)
	require.NoError(t, err)
	require.NoError(t, p.Start())
	require.True(t, p.Send(chA, []byte("x")))
	require.NoError(t, p.Stop())
	n.awaitNoConns(t)
	require.True(t, c.IsClosed())
}

// Nor the slot of a handshake.
func TestStuckRefusal(t *testing.T) {
	t.Parallel()
	timeouts := patientTimeouts()
	timeouts.Linger = shortWait // in which the refusal is read
	n, r := newNode(t, nil, WithTimeouts(timeouts)), newRaw(t)
	free := make(chan struct{})
	t.Cleanup(func() { close(free) })
	n.Host().SetStreamHandler(SessionProtocol, n.handler(func(s network.Stream) { n.handleSession(&stuckStream{s, free}) }))
	m, err := r.say(r.open(r.connect(n), false), &control.Hello{Version: control.HostVersion + 1})
	require.NoError(t, err)
	require.Equal(t, compat.RejectIncompatible, m.(*control.Reject).Code)
	require.Eventually(t, func() bool { return n.handshakes.places.Taken() == 0 }, patience, time.Millisecond)
	n.awaitNoConns(t)
}

// A stream that opens after the end of its session is reset without a lock held.
func TestStuckStreamHoldsNoLock(t *testing.T) {
	n, r := newNode(t, nil), newRaw(t)
	r.accept()
	c := n.stuckDial(t, r)
	p, err := n.openSession(timeout(t), c, r.address(), Identity{Key: n.Transport.key, NodeInfo: n.info}, n.behavior)
	require.NoError(t, err)
	require.NoError(t, p.Start())
	c.opened, c.goOn = make(chan struct{}), make(chan struct{})
	require.True(t, p.Send(chA, []byte("x")))
	<-c.opened
	p.s.fail(errors.New("any"))
	close(c.goOn)
	require.Same(t, compat.PeerConn(p), n.failure(t).peer)
	n.awaitNoConns(t) // whose cleanup needs the locks
	status := make(chan struct{})
	go func() {
		p.Status()
		close(status)
	}()
	select {
	case <-status:
	case <-timeout(t).Done():
		require.Fail(t, "the lock is held")
	}
}

// A probe ends in time although the end of its stream blocks.
func TestStuckProbe(t *testing.T) {
	n, r := newNode(t, nil), newRaw(t)
	r.accept()
	r.host.SetStreamHandler(NodeInfoProtocol, func(network.Stream) {}) // answers nothing
	c := n.stuckDial(t, r)
	p, err := n.openSession(timeout(t), c, r.address(), Identity{Key: n.Transport.key, NodeInfo: n.info}, n.behavior)
	require.NoError(t, err)
	require.NoError(t, p.Start())
	p.ProbeAlive(50 * time.Millisecond)
	require.ErrorIs(t, n.failure(t).err, ErrProbeTimeout)
}
