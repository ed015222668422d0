package lp2p

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// A side whose own flush is confirmed stops only when its reactors have received what the
// other side has announced.
func TestFlushStopAwaitsTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		a := memnet.newNode(t, net.IPv4(10, 0, 0, 1), patientFlush())
		b := memnet.newNode(t, net.IPv4(10, 0, 0, 2), patientFlush())
		free := make(chan struct{})
		release := sync.OnceFunc(func() { close(free) })
		defer release()
		b.reactor.hook = func(byte, compat.PeerConn, []byte) { <-free }
		pa, pb := connect(t, a, b)
		const messages = 5
		for range messages {
			require.True(t, pa.Send(chA, make([]byte, 1000)))
		}

		var wg sync.WaitGroup
		var done atomic.Int32
		for _, p := range []*Peer{pa, pb} {
			wg.Go(func() { p.FlushStop(); done.Add(1) })
			synctest.Wait()
		}
		require.Zero(t, done.Load(), "messages wait for the reactor of one side")
		release()
		wg.Wait()
		require.Equal(t, messages, b.reactor.count())
		require.Empty(t, a.failures)
		require.Empty(t, b.failures)
	})
}

// A side that still has messages to write when it receives a goodbye announces them before
// it answers.
func TestFlushStopAnnouncesBeforeItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		a := memnet.newNode(t, net.IPv4(10, 0, 0, 1), patientFlush())
		b := memnet.newNode(t, net.IPv4(10, 0, 0, 2), patientFlush())
		free := make(chan struct{})
		release := sync.OnceFunc(func() { close(free) })
		defer release()
		b.reactor.hook = func(byte, compat.PeerConn, []byte) { <-free }
		pa, pb := connect(t, a, b)
		const messages = 10
		for range messages { // more than the window of the stream and its buffers take
			require.True(t, pa.Send(chA, make([]byte, 1<<20)))
		}
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(pa.FlushStop)
		synctest.Wait()
		wg.Go(pb.FlushStop)
		<-time.After(time.Second)
		require.True(t, pa.IsRunning())
		require.True(t, pb.IsRunning())
		release()
		wg.Wait()
		require.Equal(t, messages, b.reactor.count())
	})
}
