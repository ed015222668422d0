package lp2p

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// patientFlush lets FlushStop end only by what it waits for.
func patientFlush() Option {
	timeouts := patientTimeouts()
	timeouts.Flush = time.Hour

	return WithTimeouts(timeouts)
}

func TestFlushStopDelivers(t *testing.T) {
	a, b := newNode(t, nil, patientFlush()), newNode(t, nil)
	pa, pb := connect(t, a, b)
	const each = 100
	for range each {
		for _, ch := range []byte{chA, chB, chC} {
			require.True(t, pa.Send(ch, make([]byte, 10_000)))
		}
	}
	pa.FlushStop()
	require.Equal(t, 3*each, b.reactor.count(), "the far reactors have all when FlushStop returns")
	require.False(t, pa.IsRunning())
	require.False(t, pa.Send(chA, []byte("x")))

	f := b.failure(t)
	require.Same(t, pb, f.peer)
	var bye *GoodbyeError
	require.ErrorAs(t, f.err, &bye)
	require.Empty(t, a.failures)
	pa.FlushStop()
}

// Two sides that flush at the same time do not block each other.
func TestFlushStopBothSides(t *testing.T) {
	a, b := newNode(t, nil, patientFlush()), newNode(t, nil, patientFlush())
	pa, pb := connect(t, a, b)
	const each = 50
	for range each {
		require.True(t, pa.Send(chA, make([]byte, 10_000)))
		require.True(t, pb.Send(chB, make([]byte, 10_000)))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		pb.FlushStop()
	}()
	pa.FlushStop()
	<-done
	require.False(t, pa.IsRunning())
	require.False(t, pb.IsRunning())
	// The first to stop was answered: all of its messages are there. The other one
	// may have been cut short, as by any stop of the remote.
	require.Equal(t, each, max(a.reactor.count(), b.reactor.count()))
	// Whichever had not begun when the other one was done has heard its goodbye.
	require.LessOrEqual(t, len(a.failures)+len(b.failures), 1)
	for _, n := range []*node{a, b} {
		if len(n.failures) > 0 {
			var bye *GoodbyeError
			require.ErrorAs(t, n.failure(t).err, &bye)
		}
	}
}

func TestFlushStopOfIdlePeer(t *testing.T) {
	a, b := newNode(t, nil, patientFlush()), newNode(t, nil)
	pa, _ := connect(t, a, b)
	pa.FlushStop()
	stopped(t, pa)
	b.failure(t)
}

func TestFlushStopInsideReceive(t *testing.T) {
	a, b := newNode(t, nil, patientFlush()), newNode(t, nil)
	done := make(chan struct{})
	a.reactor.hook = func(_ byte, p compat.PeerConn, _ []byte) {
		p.Send(chB, []byte("last words"))
		p.FlushStop()
		close(done)
	}
	_, pb := connect(t, a, b)
	require.True(t, pb.Send(chA, []byte("stop")))
	<-done
	require.Len(t, b.reactor.on(chB), 1)
}

// A reactor whose Receive does not return delays FlushStop only until its timeout.
func TestFlushStopGivesUp(t *testing.T) {
	timeouts := patientTimeouts()
	timeouts.Flush = 50 * time.Millisecond
	a, b := newNode(t, nil, WithTimeouts(timeouts)), newNode(t, nil, WithTimeouts(timeouts))
	block := make(chan struct{})
	b.reactor.hook = func(byte, compat.PeerConn, []byte) { <-block }
	pa, _ := connect(t, a, b)
	require.True(t, pa.Send(chA, []byte("x")))
	b.reactor.await(t, 1)
	pa.FlushStop()
	require.False(t, pa.IsRunning())
	b.failure(t)
	close(block)
}

func TestFlushStopWithoutRemote(t *testing.T) {
	a, b := newNode(t, nil, patientFlush()), newNode(t, nil)
	pa, pb := connect(t, a, b)
	require.NoError(t, pb.s.conn.Close())
	pa.FlushStop()
	stopped(t, pa)
}

// A session does not end before the reactors have received the announced messages.
func TestGoodbyeWaitsForDelivery(t *testing.T) {
	n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
	c, ctrl, e, _ := r.session(n)
	_, err := ctrl.Write(control.Append(nil, &control.Goodbye{
		Code: compat.RejectClosing, Text: "restart", Counts: []control.ChannelCount{{Channel: chA, Messages: 2}},
	}))
	require.NoError(t, err)
	s := r.data(c, e, chA, append(message('x'), message('y')...)...)
	_ = s.CloseWrite() // with both messages the session may have ended already

	g := goodbyeOf(t, ctrl)
	require.Equal(t, control.Goodbye{Answer: true, Counts: []control.ChannelCount{{Channel: chA, Messages: 2}}}, *g)
	require.Equal(t, [][]byte{{'x'}, {'y'}}, n.reactor.on(chA))
	f := n.failure(t)
	require.Equal(t, compat.RejectError{Code: compat.RejectClosing, Reason: "restart", Remote: true}, rejectOf(t, f.err))
	require.ErrorContains(t, f.err, "closing: restart")
}

func TestGoodbyeTwice(t *testing.T) {
	n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
	_, ctrl, _, _ := r.session(n)
	_, err := ctrl.Write(append(control.Append(nil, &control.Goodbye{}), control.Append(nil, &control.Goodbye{})...))
	require.NoError(t, err)
	require.True(t, goodbyeOf(t, ctrl).Answer)
	n.failure(t)
	require.Empty(t, n.failures)
}

func TestCloseReleasesEverything(t *testing.T) {
	a, b := newNode(t, nil, patientGoodbye()), newNode(t, nil, patientGoodbye())
	r := newRaw(t)
	pa, pb := connect(t, a, b)
	require.True(t, pa.Send(chA, []byte("x")))
	require.True(t, pb.Send(chB, []byte("y")))
	a.reactor.await(t, 1)

	// A handshake that hangs, a Hello that is not accepted, a dial that waits, a peer that
	// was never started, and one that Accept has not returned yet.
	c := r.connect(a)
	announced(t, r.open(c, false))
	waiting := r.open(c, false)
	_, err := waiting.Write(control.Append(nil, r.hello(control.NewEpoch())))
	require.NoError(t, err)
	var reads sync.WaitGroup
	reads.Go(func() { // notices the end, for which a waits
		_, _ = control.Read(waiting)
		_ = waiting.CloseWrite()
	})
	dialed := make(chan error, 1)
	go func() {
		_, err := a.Dial(context.Background(), b.NetAddress(), a.behavior)
		dialed <- err
	}()
	_, err = b.AcceptPending(timeout(t))
	require.NoError(t, err)

	require.NoError(t, a.Close())
	reads.Wait()
	require.ErrorIs(t, <-dialed, compat.ErrTransportClosed)
	require.Equal(t, compat.RejectClosing, rejectOf(t, b.failure(t).err).Code)
	require.ErrorIs(t, a.failure(t).err, compat.ErrTransportClosed)

	require.Empty(t, a.sessions.entries)
	require.Empty(t, a.conns)
	require.Empty(t, a.sessions.inbound)
	require.Zero(t, a.handshakes.places.Taken())
	require.Empty(t, a.handshakes.peers)
	require.NoError(t, pa.CloseConn())
}

// The libp2p connection closes with its last session, on both sides.
func TestConnectionClosesWithItsLastSession(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	pa, _ := connect(t, a, b)
	other := b.key.ID()
	require.Len(t, a.Host().Network().Conns(), 1)
	require.NoError(t, pa.Stop())
	for _, n := range []*node{a, b} {
		require.Eventually(t, func() bool {
			n.mtx.Lock()
			defer n.mtx.Unlock()
			n.sessions.mtx.Lock()
			defer n.sessions.mtx.Unlock()

			return len(n.Host().Network().Conns()) == 0 && len(n.conns) == 0 && len(n.sessions.entries) == 0
		}, patience, time.Millisecond)
	}
	require.Equal(t, other, pa.ID())

	// A refused session leaves no connection either.
	b.acceptLoop(t)
	b.admit = func(compat.ConnInfo, types.NodeInfo) error { return compat.Reject(compat.RejectFull, "") }
	_, err := a.dial(t, b)
	require.Error(t, err)
	require.Eventually(t, func() bool {
		return len(a.Host().Network().Conns()) == 0 && len(b.Host().Network().Conns()) == 0
	}, patience, time.Millisecond)
}

// A goodbye that is handled after the end of the session must not remove the deadline of the
// cleanup.
func TestGoodbyeAfterTheEndChangesNothing(t *testing.T) {
	n, r := newNode(t, nil), newRaw(t)
	_, ctrl, _, p := r.session(n)
	require.NoError(t, p.Stop())
	m, err := control.Read(ctrl)
	require.NoError(t, err)
	require.IsType(t, (*control.Goodbye)(nil), m)

	p.s.onGoodbye(&control.Goodbye{})
	select {
	case <-p.s.controlDone:
	case <-timeout(t).Done():
		require.Fail(t, "the session waits for ever")
	}
}

// The remote has what was accepted, and learns why.
func TestFlushStopForReason(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	pa, _ := connect(t, a, b)
	require.True(t, pa.Send(chA, []byte("x")))
	pa.FlushStopForReason(compat.Reject(compat.RejectUnspecified, "another node has left"))
	b.reactor.await(t, 1)
	var bye *GoodbyeError
	require.ErrorAs(t, b.failure(t).err, &bye)
	require.Equal(t, &GoodbyeError{Text: "another node has left"}, bye)
}
