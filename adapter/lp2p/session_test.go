package lp2p

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

func TestMessagesBothWays(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	pa, pb := connect(t, a, b)

	sizes := []int{1, 2, 127, 128, 1000, readBuffer - 2, readBuffer - 1, readBuffer, readBuffer + 1, 16 << 10, 60_000, batchSize, 70_000, 1 << 20}
	rng := rand.New(rand.NewPCG(1, 2))
	messages := func(channel byte) [][]byte {
		var msgs [][]byte
		for i := range 60 {
			m := bytes.Repeat([]byte{channel, byte(i)}, sizes[rng.IntN(len(sizes))]/2+1)
			msgs = append(msgs, m)
		}

		return msgs
	}

	want := map[byte][][]byte{chA: messages(chA), chB: messages(chB), chC: messages(chC)}
	errs := make(chan error, 6)
	for _, p := range []*Peer{pa, pb} {
		for ch, msgs := range want {
			go func() {
				for i, m := range msgs {
					if !p.Send(ch, m) {
						errs <- fmt.Errorf("message %d on %#x was not taken", i, ch)

						return
					}
				}
				errs <- nil
			}()
		}
	}
	for range 6 {
		require.NoError(t, <-errs)
	}
	for _, n := range []*node{a, b} {
		n.reactor.await(t, 180)
		for ch, msgs := range want {
			require.Equal(t, len(msgs), len(n.reactor.on(ch)))
			for i, m := range n.reactor.on(ch) {
				require.True(t, bytes.Equal(msgs[i], m), "message %d on %#x differs", i, ch)
			}
		}
	}
	require.Empty(t, a.failures)
	require.Empty(t, b.failures)

	// Either end may count a message a moment after it has arrived.
	require.Eventually(t, func() bool { return pa.Status().SendMonitor.Bytes == pb.Status().RecvMonitor.Bytes }, patience, time.Millisecond)
	st := pa.Status()
	require.Positive(t, st.Duration)
	require.Len(t, st.Channels, 3)
	require.Equal(t, chA, st.Channels[0].ID)
	require.Equal(t, int(chA), st.Channels[0].Priority)
	require.Positive(t, st.Channels[0].RecentlySent)
}

func TestPeerDescribesItsConnection(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	pa, pb := connect(t, a, b)

	require.Equal(t, b.key.ID(), pa.ID())
	require.Equal(t, a.key.ID(), pb.ID())
	require.True(t, pa.IsOutbound())
	require.False(t, pb.IsOutbound())
	addr := b.NetAddress()
	require.Equal(t, addr.String(), pa.SocketAddr().String())
	require.Equal(t, addr.DialString(), pa.RemoteAddr().String())
	require.True(t, pb.RemoteIP().IsLoopback())
	require.True(t, pa.LocalIP().IsLoopback() && pb.LocalIP().IsLoopback())
	require.Equal(t, a.key.ID(), pb.NodeInfo().ID())
	require.NotNil(t, pb.SocketAddr())
	_, delegated := pb.DelegatedBy()
	require.False(t, delegated)
}

func TestSendRefuses(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	b.descs = b.descs[:2]
	pa, pb := connect(t, a, b)

	require.False(t, pa.Send(chA, nil))
	require.False(t, pa.Send(0x99, []byte("x")))
	require.False(t, pb.Send(chC, []byte("x")), "not a channel of this side")
	require.False(t, pa.TrySend(chA, make([]byte, maxSendBytes+1)))
	require.NoError(t, pa.Stop())
	require.False(t, pa.Send(chA, []byte("x")))
	require.False(t, pa.TrySend(chA, []byte("x")))
}

func TestQueueIsBounded(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	for _, d := range a.descs {
		d.SendQueueCapacity = 3
	}
	block := make(chan struct{})
	b.reactor.hook = func(byte, compat.PeerConn, []byte) { <-block }
	pa, _ := connect(t, a, b)

	msg := make([]byte, 1<<20)
	taken := 0
	for pa.TrySend(chA, msg) || taken < 3 {
		if taken++; taken > 100 {
			break
		}
	}
	require.LessOrEqual(t, taken, 100, "nothing bounds the queue")
	require.LessOrEqual(t, pa.Status().Channels[0].SendQueueSize, 3)

	sent := make(chan bool, 1)
	go func() { sent <- pa.Send(chA, msg) }()
	close(block)
	require.True(t, <-sent)
	require.Empty(t, a.failures)
}

func TestStopWakesSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, pa, _, release := stuffed(t)
		defer release()
		sent := make(chan bool, 1)
		begun := time.Now()
		go func() { sent <- pa.Send(chA, []byte("in vain")) }()
		synctest.Wait()
		require.NoError(t, pa.Stop())
		require.False(t, <-sent)
		require.Zero(t, time.Since(begun))
	})
}

func TestOneReceiveAtATime(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	inside := make(chan struct{}, 1)
	b.reactor.hook = func(byte, compat.PeerConn, []byte) {
		select {
		case inside <- struct{}{}:
			<-inside
		default:
			panic("two at a time")
		}
	}
	pa, _ := connect(t, a, b)
	for range 200 {
		for _, ch := range []byte{chA, chB, chC} {
			require.True(t, pa.Send(ch, []byte("message")))
		}
	}
	b.reactor.await(t, 600)
	require.Empty(t, b.failures)
}

func TestStopInsideReceive(t *testing.T) {
	a, b := newNode(t, nil, patientGoodbye()), newNode(t, nil, patientGoodbye())
	done := make(chan error, 1)
	b.reactor.hook = func(_ byte, p compat.PeerConn, _ []byte) { done <- p.Stop() }
	pa, pb := connect(t, a, b)
	for range 10 {
		pa.Send(chA, []byte("stop"))
	}
	require.NoError(t, <-done)
	stopped(t, pb)

	var bye *GoodbyeError
	require.ErrorAs(t, a.failure(t).err, &bye)
	require.Equal(t, compat.RejectUnspecified, bye.Code)
	require.Equal(t, 1, b.reactor.count(), "received after Stop")
	require.Empty(t, b.failures, "own stop is no failure")
}

func TestPanicInReceive(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	b.reactor.hook = func(byte, compat.PeerConn, []byte) { panic("reactor") }
	pa, pb := connect(t, a, b)
	require.True(t, pa.Send(chA, []byte("x")))

	f := b.failure(t)
	require.Same(t, pb, f.peer)
	require.ErrorContains(t, f.err, "panicked: reactor")
	require.Same(t, pa, a.failure(t).peer)
}

func TestGoodbyeReason(t *testing.T) {
	a, b := newNode(t, nil, patientGoodbye()), newNode(t, nil, patientGoodbye())
	pa, pb := connect(t, a, b)
	// Data streams in both directions: their resets must not hide the reason.
	require.True(t, pa.Send(chA, []byte("x")))
	require.True(t, pb.Send(chB, []byte("y")))
	a.reactor.await(t, 1)
	b.reactor.await(t, 1)

	require.NoError(t, pa.StopForReason(compat.Reject(compat.RejectBanned, "bad \x00 block")))
	f := b.failure(t)
	require.Same(t, pb, f.peer)
	var reject *compat.RejectError
	require.ErrorAs(t, f.err, &reject)
	require.Equal(t, compat.RejectError{Code: compat.RejectBanned, Reason: "bad ? block", Remote: true}, *reject)
	require.Empty(t, a.failures)
}

func TestCloseConnOfRunningPeer(t *testing.T) {
	a, b := newNode(t, nil, patientGoodbye()), newNode(t, nil, patientGoodbye())
	pa, _ := connect(t, a, b)
	require.NoError(t, pa.CloseConn())
	require.ErrorIs(t, a.failure(t).err, ErrConnClosed)
	var bye *GoodbyeError
	require.ErrorAs(t, b.failure(t).err, &bye)
	require.NoError(t, pa.CloseConn())
	a.Remove(pa)
}

func TestUnstartedPeer(t *testing.T) {
	for _, remoteRuns := range []bool{true, false} {
		a, b := newNode(t, nil, patientGoodbye()), newNode(t, nil, patientGoodbye())
		accepted := make(chan *Peer, 1)
		go func() { accepted <- b.accept(t) }()
		pa, err := a.dial(t, b)
		require.NoError(t, err)
		pb := <-accepted
		if remoteRuns {
			require.NoError(t, pb.Start())
		}

		require.ErrorIs(t, pa.StopForReason(compat.Reject(compat.RejectDuplicate, "twice")), service.ErrNotStarted)
		require.ErrorIs(t, pa.Start(), errStopped)
		require.Empty(t, a.failures)

		if remoteRuns {
			err = b.failure(t).err
		} else {
			<-pb.s.ctx.Done()
			err = pb.Start()
			require.Empty(t, b.failures, "a peer that does not run is no failure")
		}
		require.Equal(t, compat.RejectError{Code: compat.RejectDuplicate, Reason: "twice", Remote: true}, rejectOf(t, err))
	}
}

func TestEitherSideDyingEndsTheOther(t *testing.T) {
	for name, die := range map[string]func(n *node, p *Peer){
		"stop":       func(_ *node, p *Peer) { _ = p.Stop() },
		"remove":     func(n *node, p *Peer) { n.Remove(p) },
		"connection": func(_ *node, p *Peer) { _ = p.s.conn.Close() },
		"control":    func(_ *node, p *Peer) { _ = p.s.control.Reset() },
		"host":       func(n *node, _ *Peer) { _ = n.Host().Close() },
		"transport":  func(n *node, _ *Peer) { _ = n.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newNode(t, nil), newNode(t, nil)
			pa, pb := connect(t, a, b)
			die(a, pa)
			require.Same(t, pb, b.failure(t).peer)

			a, b = newNode(t, nil), newNode(t, nil)
			pa, pb = connect(t, a, b)
			die(b, pb)
			require.Same(t, pa, a.failure(t).peer)
		})
	}
}

func TestDataStreamFailureEndsBothSides(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	pa, pb := connect(t, a, b)
	require.True(t, pa.Send(chA, []byte("x")))
	b.reactor.await(t, 1)
	for _, s := range pa.s.out.streams() {
		require.NoError(t, s.Reset())
	}
	require.Same(t, pb, b.failure(t).peer)
	require.Same(t, pa, a.failure(t).peer)
}
