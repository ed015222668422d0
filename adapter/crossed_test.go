package adapter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// crosser is a node whose dials, accepts and callbacks each take a time of their
// own, so that crossed dials meet at every step.
type crosser struct {
	*node
	beforeDial, afterDial, afterAccept, init, add time.Duration

	begin  chan struct{} // closed when both are dialing
	dialed atomic.Bool   // its own dial made a connection
}

func newCrosser(t *testing.T, network *memory.Network, rng *rand.Rand, opts ...SwitchOption) *crosser {
	t.Helper()
	delay := func() time.Duration { // mostly none: then the scheduler decides
		return time.Duration(max(0, rng.IntN(12)-6)) * time.Millisecond
	}
	c := &crosser{begin: make(chan struct{}), beforeDial: delay(), afterDial: delay(), afterAccept: delay(), init: delay(), add: delay()}
	tr := network.NewTransport(chA, chB)
	if rng.IntN(2) == 0 {
		tr.SkipAdmission()
	}
	c.node = newNodeOn(t, tr, func(tr *memory.Transport) compat.Transport {
		return &dialHook{Transport: &acceptHook{Transport: tr, accept: c.accept}, dial: c.dial}
	}, opts...)
	c.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { pause(c.init); return p }
	c.reactor.onAdd = func(compat.PeerConn) { pause(c.add) }

	return c
}

func pause(d time.Duration) {
	if d > 0 {
		task.Sleep(context.Background(), d)
	}
}

func (c *crosser) dial(ctx context.Context, addr types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
	<-c.begin
	pause(c.beforeDial)
	conn, err := c.tr.Dial(ctx, addr, b)
	if err == nil {
		c.dialed.Store(true)
	}
	pause(c.afterDial)

	return conn, err
}

func (c *crosser) accept(ctx context.Context, b compat.PeerBehavior) (compat.PeerConn, error) {
	conn, err := c.tr.Accept(ctx, b)
	pause(c.afterAccept)

	return conn, err
}

func (c *crosser) String() string {
	return fmt.Sprintf("{before dial %s, after %s, after accept %s, init %s, add %s, dialed %t}",
		c.beforeDial, c.afterDial, c.afterAccept, c.init, c.add, c.dialed.Load())
}

// A thousand pairs of nodes dial each other at the same instant. Each pair ends
// with one connection, the same on both ends, and if both dials came through it
// is the one dialed by the lower ID.
func TestThousandCrossedDials(t *testing.T) {
	const pairs, atOnce = 1000, 50
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	var crossed int
	for range pairs / atOnce {
		synctest.Test(t, func(t *testing.T) { crossed += crossPairs(t, rng, atOnce, fmt.Sprint("seed ", seed)) })
		require.False(t, t.Failed(), "seed %d", seed)
	}
	require.Greater(t, crossed, pairs/10, "too few dials came through on both sides; seed %d", seed)
	t.Logf("of %d pairs, both dials of %d came through", pairs, crossed)
}

// Nodes that have no inbound slot left and dial each other end with one connection
// all the same.
func TestCrossedDialsOfFullNodes(t *testing.T) {
	const pairs, atOnce = 300, 50
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range pairs / atOnce {
		synctest.Test(t, func(t *testing.T) {
			crossPairs(t, rng, atOnce, fmt.Sprint("seed ", seed), WithMaxInboundPeers(0), WithMaxOutboundPeers(1))
		})
		require.False(t, t.Failed(), "seed %d", seed)
	}
}

// crossPairs returns how many pairs had two connections for a moment.
func crossPairs(t *testing.T, rng *rand.Rand, n int, hint string, opts ...SwitchOption) (crossed int) {
	network := memory.NewNetwork()
	var crossers []*crosser
	var nodes []*node
	for range 2 * n {
		c := newCrosser(t, network, rng, opts...)
		crossers, nodes = append(crossers, c), append(nodes, c.node)
	}
	defer start(t, nodes...)()
	synctest.Wait()
	for i := range n {
		crossers[2*i].DialPeers(nodes[2*i+1].addr())
		crossers[2*i+1].DialPeers(nodes[2*i].addr())
	}
	synctest.Wait()
	for _, c := range crossers {
		close(c.begin)
	}
	pass(time.Second)
	for i := range n {
		low, high := crossers[2*i], crossers[2*i+1]
		if high.id() < low.id() {
			low, high = high, low
		}
		what := fmt.Sprintf("%s, pair %d: low %s, high %s", hint, i, low, high)
		requireOneConnection(t, low.node, high.node, what)
		if low.dialed.Load() && high.dialed.Load() {
			crossed++
			require.True(t, low.Peers().Get(high.id()).IsOutbound(), what)
		}
	}

	return crossed
}
