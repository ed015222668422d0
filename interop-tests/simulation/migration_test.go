package simulation

import (
	"flag"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// quickMigrators is the size of the network for every change, which goes over to few mixes.
const quickMigrators = 20

var migratorsFlag = flag.Int("migrators", quickMigrators, "size of the network in TestMigration")

var (
	// allMixes are those of a migration to libp2p, others, and the way back.
	allMixes = []Mix{
		{Native: 1}, {Native: 0.5}, {Native: 0.2, Libp2p: 0.2}, {Libp2p: 0.5}, {Libp2p: 1},
		{Native: 0.45, Libp2p: 0.45}, {Native: 0.1, Libp2p: 0.8}, {Native: 0.8, Libp2p: 0.1}, {}, {Native: 1},
	}
	quickMixes = []Mix{{Native: 1}, {Native: 0.3, Libp2p: 0.3}, {Native: 0.1, Libp2p: 0.6}}
)

// TestMigration checks that a network of nodes that change their stacks in random order, while
// others leave and join, is one graph all the time, in any mix of the kinds.
func TestMigration(t *testing.T) {
	if raceBuild {
		t.Skip("it runs without the race detector: go test -run 'TestMigration$' ./interop-tests/simulation")
	}
	begun := time.Now()
	var steps []Step
	synctest.Test(t, func(t *testing.T) {
		c, mixes := DefaultConfig(*migratorsFlag), allMixes
		c.MaxOutbound = min(c.MaxOutbound, uint64(c.Nodes)/5)
		c.Seed, c.Idle, c.Churn, c.SeedUptime, c.Progress = *seedFlag, time.Minute, 0.1, grace, t.Logf
		if c.Nodes == quickMigrators {
			mixes, c.Idle = quickMixes, 30*time.Second
			c.ChurnWindow = 2 * time.Minute // nodes have few peers
		}
		var err error
		steps, err = Migrate(c, mixes)
		require.NoError(t, err)
	})
	t.Logf("%d nodes, seed %d: %.0f s of real time, %d MiB of memory",
		*migratorsFlag, *seedFlag, time.Since(begun).Seconds(), memory()>>20)
	if testing.Verbose() {
		require.NoError(t, ReportMigration(os.Stdout, steps))
	}
}

// TestAssign checks that as few nodes as possible change, and to the kinds that are missing.
func TestAssign(t *testing.T) {
	w := newWorld(DefaultConfig(50))
	var nodes []*node
	for range 10 {
		nodes = append(nodes, &node{kind: Native})
	}
	for _, change := range []struct {
		mix   Mix
		moves int
		then  [kinds]int
	}{
		{Mix{Native: 0.5, Libp2p: 0.2}, 5, [kinds]int{Native: 5, Dual: 3, Libp2p: 2}},
		{Mix{Native: 0.5, Libp2p: 0.2}, 0, [kinds]int{Native: 5, Dual: 3, Libp2p: 2}},
		{Mix{Libp2p: 0.3}, 5, [kinds]int{Dual: 7, Libp2p: 3}},
		{Mix{Native: 1}, 10, [kinds]int{Native: 10}},
	} {
		moves := w.assign(change.mix, nodes)
		require.Len(t, moves, change.moves, change.mix)
		for _, m := range moves {
			require.NotEqual(t, m.kind, m.to)
			m.kind = m.to
		}
		var then [kinds]int
		for _, n := range nodes {
			then[n.kind]++
		}
		require.Equal(t, change.then, then, change.mix)
	}
}

// TestWholeSeesParts checks that nodes without links count as apart once they had time for them,
// and that the two sides may be apart while no dual node is there.
func TestWholeSeesParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig(8)
		c.MaxInbound, c.MaxOutbound = 7, 0 // no dials
		w := newWorld(c)
		defer func() { require.NoError(t, w.close()) }()
		for _, kind := range []Kind{Dual, Native, Libp2p} {
			require.NoError(t, w.joinAs(kind))
		}
		require.NoError(t, w.whole())
		time.Sleep(grace)
		require.NoError(t, w.whole(), "without a dual node beside the seed")

		require.NoError(t, w.joinAs(Dual))
		require.NoError(t, w.whole())
		time.Sleep(bridgeGrace)
		require.ErrorIs(t, w.whole(), ErrApart)
	})
}

func TestReportMigration(t *testing.T) {
	var b strings.Builder
	require.NoError(t, ReportMigration(&b, []Step{{
		Mix: Mix{Native: 0.25, Libp2p: 0.5}, Moved: 7, Left: 2, Joined: 2, OneGraph: 61 * time.Second, Full: 0.5,
		Links:   map[types.Stack]int{types.StackNative: 3, types.StackLibp2p: 4},
		KiBSent: Spread{Mean: 1, Most: 2, Seed: 3}, Dials: Spread{Mean: 4, Most: 5, Seed: 6},
	}}))
	require.Contains(t, b.String(), "| 25 % native, 25 % dual, 50 % libp2p | 7 · 2 · 2 | 61 s | 50 % | 3 · 4 | 1 · 2 · 3 | 4 · 5 · 6 |")
}

func TestMixesAreValidated(t *testing.T) {
	for _, mix := range []Mix{{Native: -0.1}, {Libp2p: -0.1}, {Native: 0.6, Libp2p: 0.6}} {
		_, err := Migrate(DefaultConfig(50), []Mix{mix})
		require.ErrorContains(t, err, "invalid mix")
	}
	_, err := Migrate(Config{}, nil)
	require.ErrorContains(t, err, "invalid configuration")
}
