package compattest

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
)

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
		n := memory.NewNetwork()
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
