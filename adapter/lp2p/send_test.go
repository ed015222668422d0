package lp2p

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// stuffed is a session whose sender has no room on chA until the receiver's reactor returns.
func stuffed(t *testing.T) (a, b *node, pa *Peer, queued int, release func()) {
	memnet := newMemNet()
	a, b = memnet.newNode(t, net.IPv4(10, 0, 0, 1)), memnet.newNode(t, net.IPv4(10, 0, 0, 2))
	for _, d := range a.descs {
		d.SendQueueCapacity = 1
	}
	free := make(chan struct{})
	b.reactor.hook = func(byte, compat.PeerConn, []byte) { <-free }
	pa, _ = connect(t, a, b)
	for pa.TrySend(chA, make([]byte, 1<<20)) {
		queued++
		synctest.Wait()
	}

	return a, b, pa, queued, sync.OnceFunc(func() { close(free) })
}

// Waiting messages are accepted in the order in which they came, and no other one before
// them.
func TestSendersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, pa, queued, release := stuffed(t)
		defer release()
		const senders = 50
		var wg sync.WaitGroup
		var taken atomic.Int32
		for i := range senders {
			wg.Go(func() {
				if pa.Send(chA, binary.BigEndian.AppendUint32(nil, uint32(i))) {
					taken.Add(1)
				}
			})
			synctest.Wait()
		}
		require.False(t, pa.TrySend(chA, []byte("late")))
		release()
		wg.Wait()
		require.EqualValues(t, senders, taken.Load())
		b.reactor.await(t, queued+senders)
		for i, msg := range b.reactor.on(chA)[queued:] {
			require.Equal(t, binary.BigEndian.AppendUint32(nil, uint32(i)), msg)
		}
	})
}

// A message whose Send has given up is not sent.
func TestSendGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, pa, queued, release := stuffed(t)
		defer release()
		begun := time.Now()
		require.False(t, pa.Send(chA, []byte("in vain")))
		require.Equal(t, compat.SendTimeout, time.Since(begun))

		var wg sync.WaitGroup
		wg.Go(func() { pa.Send(chA, []byte("patient")) })
		synctest.Wait()
		release()
		wg.Wait()
		b.reactor.await(t, queued+1)
		require.Equal(t, "patient", string(b.reactor.on(chA)[queued]))
		require.Empty(t, a.failures)
	})
}
