package compattest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func TestMessagesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, pa, pb := pair(t)
		defer closeAll(t, a, b)
		var want []string
		for i := range 100 {
			require.True(t, pa.Send(chA, fmt.Appendf(nil, "%d", i)))
			require.True(t, pb.Send(chB, []byte("back")))
			want = append(want, fmt.Sprintf("0x20 %d", i))
		}
		synctest.Wait()
		require.Equal(t, want, b.messages())
		require.Len(t, a.messages(), 100)

		s := pa.Status()
		require.EqualValues(t, 190, s.SendMonitor.Bytes)
		require.EqualValues(t, 400, s.RecvMonitor.Bytes)
		require.Positive(t, s.SendMonitor.CurRate)
		require.Len(t, s.Channels, 2)
		require.Equal(t, chA, s.Channels[0].ID)
		require.Equal(t, 3, s.Channels[0].SendQueueCapacity)
		require.Zero(t, s.Channels[0].SendQueueSize)
		require.Positive(t, s.Channels[0].RecentlySent)
		later := time.NewTimer(10 * time.Second)
		<-later.C
		s = pa.Status()
		require.Equal(t, 10*time.Second, s.Duration)
		require.EqualValues(t, 19, s.SendMonitor.AvgRate)
		require.Zero(t, s.SendMonitor.CurRate, "the past is forgotten")
	})
}

func TestReceiveBufferIsReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, pa, _ := pair(t)
		defer closeAll(t, a, b)
		var kept []byte
		b.onReceive = func(_ compat.PeerConn, msg []byte) {
			if kept == nil {
				kept = msg
			}
		}
		first := []byte("first")
		require.True(t, pa.Send(chA, first))
		require.True(t, pa.Send(chA, []byte("other")))
		synctest.Wait()
		require.Equal(t, "other", string(kept), "a reactor that keeps the slice is found out")
		require.Equal(t, "first", string(first), "the sender's slice is left alone")
	})
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, pa, _ := pair(t)
		defer closeAll(t, a, b)
		leave := make(chan struct{})
		b.onReceive = func(compat.PeerConn, []byte) { <-leave }
		for range 4 {
			require.True(t, pa.TrySend(chA, []byte("x")))
			synctest.Wait() // the first is being received
		}
		require.False(t, pa.TrySend(chA, []byte("x")))
		require.True(t, pa.TrySend(chB, []byte("x")), "channels have queues of their own")
		require.Equal(t, 3, pa.Status().Channels[0].SendQueueSize)
		begin := time.Now()
		require.False(t, pa.Send(chA, []byte("x")))
		require.Equal(t, compat.SendTimeout, time.Since(begin))

		var wg sync.WaitGroup
		wg.Go(func() { require.True(t, pa.Send(chA, []byte("last"))) })
		synctest.Wait()
		close(leave)
		wg.Wait()
		synctest.Wait()
		require.Len(t, b.messages(), 6)
	})
}

func TestSendRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		a, b := newHost(n, chA, chB), newHost(n, chA)
		defer closeAll(t, a, b)
		pa, pb := connectPeers(t, a, b)
		require.False(t, pa.Send(chA, []byte("x")), "not started")
		require.NoError(t, pa.Start())
		require.NoError(t, pb.Start())
		require.False(t, pa.Send(chA, nil))
		require.False(t, pa.Send(chB, []byte("x")), "the remote lacks the channel")
		require.False(t, pa.TrySend(0x77, []byte("x")))
		require.NoError(t, pa.Stop())
		require.False(t, pa.Send(chA, []byte("x")))
		require.False(t, pa.TrySend(chA, []byte("x")))
	})
}

func TestEitherEndEndsBoth(t *testing.T) {
	for name, end := range map[string]func(h *host, p compat.PeerConn) error{
		"stop":   func(_ *host, p compat.PeerConn) error { return p.Stop() },
		"close":  func(_ *host, p compat.PeerConn) error { return p.CloseConn() },
		"remove": func(h *host, p compat.PeerConn) error { h.tr.Remove(p); return nil },
		"flush":  func(_ *host, p compat.PeerConn) error { p.FlushStop(); return nil },
		"node":   func(h *host, _ compat.PeerConn) error { return h.tr.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, pa, pb := pair(t)
				defer closeAll(t, a, b)
				require.NoError(t, end(a, pa))
				synctest.Wait()
				require.False(t, pa.IsRunning())
				require.False(t, pb.IsRunning())
				<-pa.Quit()
				<-pb.Quit()
				require.Len(t, b.failures(), 1, "told once")
				a.tr.Remove(pa)
				b.tr.Remove(pb)
			})
		})
	}
}

func TestReasonReachesTheRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, pa, _ := pair(t)
		defer closeAll(t, a, b)
		require.NoError(t, pa.(compat.ReasonStopper).StopForReason(compat.Reject(compat.RejectBanned, "go away")))
		synctest.Wait()
		require.Empty(t, a.failures())
		require.Len(t, b.failures(), 1)
		var reject *compat.RejectError
		require.ErrorAs(t, b.failures()[0], &reject)
		require.Equal(t, compat.RejectError{Code: compat.RejectBanned, Reason: "go away", Remote: true}, *reject)
	})
}

func TestReasonForAPeerThatWasNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		a, b := newHost(n, chA), newHost(n, chA)
		defer closeAll(t, a, b)
		pa, pb := connectPeers(t, a, b)
		cause := errors.New("out of slots")
		require.NoError(t, pb.(compat.ReasonStopper).StopForReason(cause))
		require.NoError(t, pa.Start())
		synctest.Wait()
		require.Len(t, a.failures(), 1)
		require.ErrorIs(t, a.failures()[0], cause)
	})
}

func TestFlushStopDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, pa, _ := pair(t)
		defer closeAll(t, a, b)
		step := make(chan struct{})
		b.onReceive = func(compat.PeerConn, []byte) { <-step }
		for range 4 {
			require.True(t, pa.Send(chA, []byte("x")))
			synctest.Wait()
		}
		var wg sync.WaitGroup
		wg.Go(pa.FlushStop)
		synctest.Wait()
		require.True(t, pa.IsRunning(), "three are not yet taken")
		close(step)
		wg.Wait()
		synctest.Wait()
		require.Len(t, b.messages(), 4)
	})
}

func TestFlushStopGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, pa, _ := pair(t)
		defer closeAll(t, a, b)
		leave := make(chan struct{})
		defer close(leave)
		b.onReceive = func(compat.PeerConn, []byte) { <-leave }
		require.True(t, pa.Send(chA, []byte("x")))
		require.True(t, pa.Send(chA, []byte("x")))
		synctest.Wait()
		begin := time.Now()
		pa.FlushStop()
		require.Equal(t, compat.SendTimeout, time.Since(begin))
		require.False(t, pa.IsRunning())
	})
}

func TestTooLargeMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, pa, pb := pair(t)
		defer closeAll(t, a, b)
		require.True(t, pa.Send(chA, make([]byte, 100)))
		require.True(t, pa.Send(chA, make([]byte, 101)))
		synctest.Wait()
		require.Len(t, b.messages(), 1)
		require.Len(t, b.failures(), 1)
		require.ErrorIs(t, b.failures()[0], ErrTooLarge)
		require.False(t, pa.IsRunning())
		require.False(t, pb.IsRunning())
	})
}

func TestStopWithinReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, pa, _ := pair(t)
		defer closeAll(t, a, b)
		b.onReceive = func(p compat.PeerConn, _ []byte) { require.NoError(t, p.Stop()) }
		require.True(t, pa.Send(chA, []byte("1")))
		pa.TrySend(chA, []byte("2"))
		synctest.Wait()
		require.Len(t, b.messages(), 1)
		require.Empty(t, b.failures())
		require.Len(t, a.failures(), 1)
	})
}

// Whatever Send said true to was delivered, or the connection has ended.
func TestConcurrentUse(t *testing.T) {
	a, b, pa, _ := pair(t)
	const senders, each = 4, 300
	var all sync.WaitGroup
	all.Add(senders * each)
	b.onReceive = func(compat.PeerConn, []byte) { all.Done() }
	var wg sync.WaitGroup
	for i := range senders {
		ch := []byte{chA, chB}[i%2]
		wg.Go(func() {
			for range each {
				require.True(t, pa.Send(ch, []byte("x")))
				pa.Status()
			}
		})
	}
	wg.Wait()
	all.Wait()
	closeAll(t, a, b)
}
