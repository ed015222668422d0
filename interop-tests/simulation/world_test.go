package simulation

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestConfigIsValidated(t *testing.T) {
	require.NoError(t, DefaultConfig(500).Validate())
	for _, spoil := range []func(*Config){
		func(c *Config) { c.Nodes = 1 },
		func(c *Config) { c.Nodes = maxHosts },
		func(c *Config) { c.MaxOutbound = c.MaxInbound + 1 },
		func(c *Config) { c.Nodes = 20 },
		func(c *Config) { c.Idle = -1 },
		func(c *Config) { c.Patience = 0 },
		func(c *Config) { c.SeedUptime = -1 },
		func(c *Config) { c.Churn = 1.1 },
	} {
		c := DefaultConfig(50)
		spoil(&c)
		_, err := Run(c)
		require.Error(t, err)
	}
}

// graphOf returns a graph of unnamed nodes. Each element of dialed is a dialer and its target.
func graphOf(nodes int, dialed ...[2]int) *graph {
	g := &graph{index: make(map[types.ID]int), peers: make([][]link, nodes), moved: make([]int, nodes)}
	for i := range nodes {
		id := types.ID(rune('a' + i))
		g.nodes = append(g.nodes, &node{site: site{addr: types.NetAddress{ID: id}}})
		g.index[id] = i
	}
	for _, d := range dialed {
		g.peers[d[0]] = append(g.peers[d[0]], link{to: d[1], outbound: true})
		g.peers[d[1]] = append(g.peers[d[1]], link{to: d[0]})
	}

	return g
}

func TestGraph(t *testing.T) {
	require.Zero(t, graphOf(0).parts())
	require.Equal(t, 3, graphOf(3).parts())
	require.Equal(t, 2, graphOf(5, [2]int{0, 1}, [2]int{2, 1}, [2]int{4, 3}).parts())
	apart := graphOf(5, [2]int{0, 1}, [2]int{2, 1}, [2]int{4, 3})
	require.Equal(t, 1, apart.parts(apart.nodes[0], apart.nodes[2]))
	require.Equal(t, 2, apart.parts(apart.nodes[0], apart.nodes[4]))
	require.Equal(t, 1, graphOf(4, [2]int{3, 2}, [2]int{2, 1}, [2]int{1, 0}).parts())

	g := graphOf(5, [2]int{0, 1}, [2]int{0, 2}, [2]int{3, 0}, [2]int{4, 0}, [2]int{1, 2})
	require.Equal(t, uint64(2), g.outbound(0))
	require.Equal(t, uint64(0), g.outbound(2))
	require.Equal(t, 1, g.full(2))
	require.Equal(t, 4, g.full(1))
	require.Equal(t, 1, g.full(9), "who has links to all others can have no more")
	require.Equal(t, 1, g.full(1, g.nodes[1], g.nodes[2]))
	g.moved[2] = 1
	require.Equal(t, 2, g.full(1, g.nodes[1], g.nodes[2]), "an inbound link holds the slot")
	g.moved[1] = -1
	require.Equal(t, 1, g.full(1, g.nodes[1], g.nodes[2]), "an outbound link holds another one")
}

func TestDrawsFollowFromTheSeed(t *testing.T) {
	host := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{5, 0, 0, last}) }
	c := DefaultConfig(50)
	one, two := newWorld(c), newWorld(c)
	c.Seed++
	other := newWorld(c)
	differ := false
	for i := range byte(50) {
		d := delay(1, host(i))
		require.GreaterOrEqual(t, d, minDelay)
		require.Less(t, d, maxDelay)
		require.Equal(t, d, delay(1, host(i)))
		differ = differ || d != delay(1, host(i+1)) && d != delay(2, host(i))

		one.nodes, two.nodes, other.nodes = append(one.nodes, &node{}), append(two.nodes, &node{}), append(other.nodes, &node{})
	}
	require.True(t, differ)

	places := func(w *world) (list []int) {
		leaving, staying := w.split()
		require.Len(t, leaving, 14)
		require.Len(t, staying, 36)
		require.Same(t, w.nodes[0], staying[0], "the seed stays")
		for i, n := range w.nodes {
			for _, l := range leaving {
				if l == n {
					list = append(list, i)
				}
			}
		}

		return list
	}
	drawn := places(one)
	require.Equal(t, drawn, places(two))
	require.NotEqual(t, drawn, places(other))
}

func TestPlay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig(50)
		c.Patience = time.Minute
		w := newWorld(c)
		begun := time.Now()
		var made []time.Duration
		changes := make([]func() error, 100)
		for i := range changes {
			changes[i] = func() error { made = append(made, time.Since(begun)); return nil }
		}
		list := w.spread(10*time.Second, changes)
		looked := time.Duration(0)
		require.NoError(t, w.play(list, func(elapsed time.Duration) bool {
			looked += sampleInterval
			require.Equal(t, looked, elapsed)
			require.Equal(t, begun.Add(elapsed), time.Now())

			return true
		}))
		require.Equal(t, 10*time.Second, looked, "until all changes are made")
		require.Len(t, made, len(list))
		for i, change := range list {
			require.Equal(t, change.at, made[i])
		}

		never := func(time.Duration) bool { return false }
		require.ErrorIs(t, w.play(nil, never), ErrNotDone)
		spoiled := errors.New("spoiled")
		require.ErrorIs(t, w.play([]change{{do: func() error { return spoiled }}}, never), spoiled)
		require.NoError(t, w.close())
	})
}

func TestCost(t *testing.T) {
	before, now := meter{}, meter{}
	before.tally.failures = map[string]uint64{"busy": 1, "unreachable": 1}
	now.tally.failures = map[string]uint64{"busy": 3, "unreachable": 1, "refused: full": 2}
	before.traffic.BytesSent, now.traffic.BytesSent = 1024, 3*1024
	before.dht.QueriesSent, now.dht.QueriesSent = 5, 12
	now.tally.dialed = 4
	require.Equal(t, map[string]uint64{"busy": 2, "refused: full": 2}, now.tally.failuresSince(before.tally))
	require.Equal(t, [quantities]float64{
		bytesSent: 2, queriesSent: 7, sessionsDialed: 4, dialsFailed: 4,
	}, now.since(before))

	var s Spread
	s.add(10, true, 3)
	s.add(1, false, 3)
	s.add(4, false, 3)
	require.Equal(t, Spread{Mean: 5, Most: 4, Seed: 10}, s)

	require.Equal(t, "refused: full", kindOf(&compat.RejectError{Code: compat.RejectFull, Remote: true}))
	require.Equal(t, "not wanted: full", kindOf(compat.Reject(compat.RejectFull, "")))
	require.Equal(t, "busy", kindOf(compat.ErrBusy))
	require.Equal(t, "unreachable", kindOf(errors.New("no route")))
}

func TestReport(t *testing.T) {
	small, large := &Result{Config: DefaultConfig(50)}, &Result{Config: DefaultConfig(500)}
	small.Formation.Full, large.Formation.Full = 20*time.Second, 30*time.Second
	small.Idle.For, large.Idle.For = 2*time.Minute, 2*time.Minute
	small.Idle.Cost.Spent[bytesSent], large.Idle.Cost.Spent[bytesSent] = Spread{100, 120, 0}, Spread{246, 120, 8}
	large.Churn.Cost.Failures = map[string]float64{"unreachable": 1.25, "busy": 1}
	var b strings.Builder
	require.NoError(t, Report(&b, []*Result{small, large}))
	require.Contains(t, b.String(), "| Forming | 50 nodes | 500 nodes | growth |\n|---|---:|---:|---:|\n")
	require.Contains(t, b.String(), "| time until all have | 20 s | 30 s | 1.50 |\n")
	require.Contains(t, b.String(), "| KiB sent, a minute | 50 · 60 · 0 | 123 · 60 · 4 | 2.46 · 1 · – |\n")
	require.Contains(t, b.String(), "500 nodes, dials of a node that came to nothing: forming none; churn 1 busy, 1.25 unreachable.\n")

	require.Equal(t, "0", number(0))
	require.Equal(t, "0.12", number(0.123))
	require.Equal(t, "12.3", number(12.34))
	require.Equal(t, "1235", number(1234.6))
}

// missed waits until no node has the peer any more. It returns false when that takes longer
// than within.
func (w *world) missed(id types.ID, within time.Duration) (all bool) {
	for begun := time.Now(); time.Since(begun) < within; sleepUntil(time.Now().Add(sampleInterval)) {
		all = true
		for _, n := range w.nodes {
			all = all && !n.sw.Peers().Has(id)
		}
		if all {
			return true
		}
	}

	return false
}

// TestDepartures checks that peers remove a node at once when it stops, and after the ping and
// pong timeouts when it vanishes.
func TestDepartures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig(8)
		c.MaxInbound, c.MaxOutbound = 7, 3
		require.NoError(t, c.Validate())
		w := newWorld(c)
		defer func() { require.NoError(t, w.close()) }()
		var r Result
		require.NoError(t, w.form(&r))
		require.Equal(t, 1, observe(w.nodes).parts())

		stopped, vanished := w.nodes[1], w.nodes[2]
		w.leave(stopped, stopped.stop)
		require.True(t, w.missed(stopped.id(), 5*time.Second))

		w.leave(vanished, vanished.vanish)
		require.False(t, w.missed(vanished.id(), 10*time.Second), "nobody has told it")
		times := lp2p.DefaultTimeouts()
		require.True(t, w.missed(vanished.id(), times.KeepAlive+2*times.Pong))
		require.Equal(t, 1, observe(w.nodes).parts())
	})
}

// TestSeedIsLeftSoon checks that joining nodes disconnect from the seed once they know others,
// but stay in its routing table. The seed's connections limit how many nodes can join at a
// time.
func TestSeedIsLeftSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig(8)
		c.MaxOutbound = 0 // no sessions
		w := newWorld(c)
		defer func() { require.NoError(t, w.close()) }()
		for range c.Nodes {
			require.NoError(t, w.join())
		}
		sleepUntil(time.Now().Add(12 * time.Second)) // others are kept for 20 s
		seed := w.nodes[0]
		require.Equal(t, c.Nodes-1, seed.d.Stats().Table)
		require.Zero(t, seed.d.Stats().Refused)
		for _, n := range w.nodes[1:] {
			require.NotZero(t, n.d.Stats().Table)
			require.Empty(t, n.t.Host().Network().ConnsToPeer(seed.t.Host().ID()))
		}
	})
}
