package adapter

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// strict is a reactor that checks the order of its callbacks for each
// connection, and that one peer has one connection at a time.
type strict struct {
	compat.BaseReactor
	violations atomic.Int64
	received   atomic.Int64
	inited     atomic.Int64
	added      atomic.Int64
	removed    atomic.Int64

	mtx   sync.Mutex
	conns map[compat.PeerConn]*strictConn
	byID  map[types.ID]int // connections between InitPeer and RemovePeer
}

type strictConn struct {
	mtx            sync.RWMutex // read-held by Receive
	receiving      atomic.Int64
	added, removed bool
}

func newStrict() *strict {
	r := &strict{conns: make(map[compat.PeerConn]*strictConn), byID: make(map[types.ID]int)}
	r.BaseReactor = *compat.NewBaseReactor("strict", r)

	return r
}

func (r *strict) check(ok bool) {
	if !ok {
		r.violations.Add(1)
	}
}

func (r *strict) conn(p compat.PeerConn) *strictConn {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return r.conns[p]
}

func (r *strict) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: chA, Priority: 1, SendQueueCapacity: 4}, {ID: chB, Priority: 2}}
}

func (r *strict) InitPeer(p compat.PeerConn) compat.PeerConn {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.inited.Add(1)
	r.check(r.conns[p] == nil)
	r.conns[p] = &strictConn{}
	r.byID[p.ID()]++
	r.check(r.byID[p.ID()] == 1)

	return p
}

func (r *strict) AddPeer(p compat.PeerConn) {
	c := r.conn(p)
	c.mtx.Lock()
	defer c.mtx.Unlock()
	r.check(!c.added && !c.removed)
	c.added = true
	r.added.Add(1)
}

func (r *strict) RemovePeer(p compat.PeerConn, _ any) {
	c := r.conn(p)
	r.check(c.receiving.Load() == 0)
	c.mtx.Lock()
	r.check(!c.removed)
	c.removed = true
	c.mtx.Unlock()
	r.removed.Add(1)
	r.check(!p.IsRunning())
	r.mtx.Lock()
	r.byID[p.ID()]--
	r.mtx.Unlock()
}

func (r *strict) Receive(_ byte, p compat.PeerConn, msg []byte) {
	c := r.conn(p)
	r.check(c.receiving.Add(1) == 1)
	defer c.receiving.Add(-1)
	c.mtx.RLock()
	r.check(!c.removed)
	c.mtx.RUnlock()
	switch r.received.Add(1) % 50 {
	case 0:
		r.Switch.StopPeerForError(p, errTest)
	case 1:
		panic(msg)
	}
}

// TestStress has traffic, stops from everywhere and reconnects at the same time.
func TestStress(t *testing.T) {
	const nodes = 4
	network := memory.NewNetwork()
	var sws []*MultiplexSwitch
	var trs []*memory.Transport
	var reactors []*strict
	for range nodes {
		tr, r := network.NewTransport(chA, chB), newStrict()
		trs, reactors = append(trs, tr), append(reactors, r)
		sws = append(sws, NewMultiplexSwitch(tr, WithReactor("strict", r)))
	}
	for _, sw := range sws {
		require.NoError(t, sw.Start())
	}
	var wg sync.WaitGroup
	for i, sw := range sws {
		wg.Go(func() { harass(sw, reactors, trs, rand.New(rand.NewPCG(uint64(i), 7))) })
	}
	wg.Wait()
	for _, sw := range sws {
		require.NoError(t, sw.Stop())
	}
	for i, r := range reactors {
		require.NoError(t, trs[i].Close())
		require.Zero(t, r.violations.Load())
		require.Equal(t, r.inited.Load(), r.removed.Load(), "what saw InitPeer saw RemovePeer")
		require.Len(t, r.conns, int(r.inited.Load()))
		for id, n := range r.byID {
			require.Zero(t, n, id)
		}
	}
}

func seenEnough(reactors []*strict) bool {
	for _, r := range reactors {
		if r.received.Load() < 1000 || r.added.Load() < 50 {
			return false
		}
	}

	return true
}

// harass dials, sends and stops until all reactors have seen enough.
func harass(sw *MultiplexSwitch, reactors []*strict, trs []*memory.Transport, rng *rand.Rand) {
	evs, cancel := sw.Subscribe(nil)
	defer cancel()
	for !seenEnough(reactors) {
		for _, tr := range trs {
			addr := tr.NetAddress()
			sw.DialPeers(&addr)
		}
		for i := range 5 {
			sw.Broadcast(chA, []byte{byte(i)})
			sw.Broadcast(chB, []byte{byte(i)})
		}
		for _, p := range sw.Peers().List() {
			switch rng.IntN(20) {
			case 0:
				sw.StopPeerForError(p, errTest)
			case 1:
				go sw.StopPeerForError(p, errTest)
				go sw.StopPeerForError(p, nil)
			case 2:
				p.FlushStop()
			default:
				p.TrySend(chB, []byte("x"))
			}
		}
		// Most rounds end by what happens; the timer covers a round in which
		// nothing can.
		select {
		case <-evs:
		case <-time.After(time.Millisecond):
		}
	}
}
