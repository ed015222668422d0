package adapter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// fitful takes a message at once or not as it pleases, and is slow to take what
// it did not.
type fitful struct {
	compat.PeerConn

	mtx  sync.Mutex
	rng  *rand.Rand
	took [][]byte
	late int // taken by Send
}

func (f *fitful) take(msg []byte, chance int) bool {
	f.mtx.Lock()
	defer f.mtx.Unlock()
	if f.rng.IntN(chance) > 0 {
		return false
	}
	f.took = append(f.took, msg)

	return true
}

func (f *fitful) TrySend(_ byte, msg []byte) bool { return f.take(msg, 3) }

func (f *fitful) Send(_ byte, msg []byte) bool {
	f.mtx.Lock()
	wait := time.Duration(f.rng.IntN(5)) * time.Millisecond
	f.late++
	f.mtx.Unlock()
	task.Sleep(context.Background(), wait)

	return f.take(msg, 1)
}

// Backlogs begin and end all the time while several goroutines broadcast: each
// peer gets all messages of each, in order, and the very slices.
func TestBroadcastOrderAndPayload(t *testing.T) {
	seed := rand.Uint64()
	synctest.Test(t, func(t *testing.T) {
		const peers, callers, messages = 3, 4, 200
		network := memory.NewNetwork()
		hub := newNode(t, network)
		var taken []*fitful
		hub.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
			f := &fitful{PeerConn: p, rng: rand.New(rand.NewPCG(seed, uint64(len(taken))))}
			taken = append(taken, f)

			return f
		}
		nodes := []*node{hub}
		for range peers {
			nodes = append(nodes, newNode(t, network))
		}
		defer start(t, nodes...)()
		for _, n := range nodes[1:] {
			connect(t, n, hub)
		}

		var sent [callers][]*byte
		var wg sync.WaitGroup
		for caller := range callers {
			rng := rand.New(rand.NewPCG(seed, uint64(peers+caller)))
			wg.Go(func() {
				for range messages {
					msg := []byte{byte(caller)}
					sent[caller] = append(sent[caller], &msg[0])
					hub.Broadcast(chA, msg)
					task.Sleep(context.Background(), time.Duration(rng.IntN(20))*time.Millisecond)
				}
			})
		}
		wg.Wait()
		pass(time.Minute)
		for _, f := range taken {
			var got [callers][]*byte
			for _, msg := range f.took {
				got[msg[0]] = append(got[msg[0]], &msg[0])
			}
			for caller := range callers {
				require.Len(t, got[caller], messages, "seed %d", seed)
				for i := range got[caller] {
					require.Same(t, sent[caller][i], got[caller][i], "seed %d caller %d message %d", seed, caller, i)
				}
			}
			require.Positive(t, f.late, "seed %d: no backlog", seed)
			require.Less(t, f.late, callers*messages, "seed %d: nothing was taken at once", seed)
		}
		require.Zero(t, hub.BroadcastsDropped())
	})
}

// A reactor broadcasts with a lock held that its RemovePeer takes.
func TestBroadcastUnderALockOfTheReactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub, stuck := newNode(t, network), newNode(t, network)
		var mtx sync.Mutex
		hub.reactor.onRemove = func(compat.PeerConn, any) { mtx.Lock(); defer mtx.Unlock() }
		leave := make(chan struct{})
		stuck.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-leave }
		defer start(t, hub, stuck)()
		defer close(leave)
		connect(t, stuck, hub)
		mtx.Lock()
		for i := range 2 * maxBacklogMessages {
			hub.Broadcast(chA, fmt.Append(nil, i))
		}
		mtx.Unlock()
		synctest.Wait()
		require.False(t, hub.Peers().Has(stuck.id()))
		require.EqualValues(t, 1, hub.reactor.count("remove"))
		require.Positive(t, hub.BroadcastsDropped())
	})
}

// The end of a peer that does not keep up costs the others no message.
func TestBroadcastOverflowOfOneOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub, stuck, live := newNode(t, network), newNode(t, network), newNode(t, network)
		leave := make(chan struct{})
		stuck.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-leave }
		defer start(t, hub, stuck, live)()
		defer close(leave)
		connect(t, stuck, hub)
		connect(t, live, hub)
		want := []string{"init", "add"}
		begin := time.Now()
		for i := range maxBacklogMessages + 100 {
			hub.Broadcast(chA, fmt.Append(nil, i))
			want = append(want, fmt.Sprint("receive ", i))
			synctest.Wait()
		}
		require.Zero(t, time.Since(begin), "nobody waited")
		require.False(t, hub.Peers().Has(stuck.id()))
		require.Equal(t, want, live.reactor.entries())
	})
}
