package crawl_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/crawl"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// closedPort returns an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()

	return fmt.Sprintf("127.0.0.1:%d", stacktest.FreePortAt(t, net.IPv4(127, 0, 0, 1)))
}

// settles requires that a walk finds what the check says, and walks again until it does: of a node that
// is held up for a second or two a visit learns less. It never learns more: every walk has to keep the
// limits.
func settles(
	t *testing.T, opts crawl.Options, check func(t *assert.CollectT, report *crawl.Report), limits ...func(report *crawl.Report),
) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		report, err := crawl.Run(t.Context(), opts)
		if report != nil {
			for _, limit := range limits {
				limit(report)
			}
		}
		require.NoError(c, err)
		check(c, report)
	}, patience, time.Millisecond)
}

// visitsAtMost is the limit of a walk that visits no more than n targets.
func visitsAtMost(t *testing.T, n int) func(*crawl.Report) {
	t.Helper()

	return func(report *crawl.Report) { assert.LessOrEqual(t, report.Visited, n) }
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	n := startNative(t, spec{})
	settles(t, crawl.Options{
		Seeds: []string{n.addr()}, Rate: crawl.DefaultRate, AtOnce: crawl.DefaultAtOnce,
		Timeout: crawl.DefaultTimeout, MaxNodes: crawl.DefaultMaxNodes,
	}, func(t *assert.CollectT, report *crawl.Report) {
		require.True(t, report.Complete)
		require.Equal(t, network, report.Network)
		found := byID(t, report, n.id)
		require.Equal(t, crawl.Reachable, found.State)
		require.Equal(t, n.at.DialString(), found.Addresses[0])
		require.Equal(t, "C", found.Dialect)
		require.Nil(t, found.QUIC)
		require.Empty(t, found.Bridge)
		require.Positive(t, found.RoundTrip)
	})
}

// Nodes told by peer exchange are visited. Those that do not answer, or are another node than
// was said, are heard of.
func TestHearsayIsVisited(t *testing.T) {
	there, liar := startNative(t, spec{tells: []string{}}), types.GenerateNodeKey().ID()
	gone, private := types.GenerateNodeKey().ID(), types.GenerateNodeKey().ID()
	closed := closedPort(t)
	seed := startNative(t, spec{tells: []string{
		there.addr(), fmt.Sprintf("%s@%s", liar, there.at.DialString()), fmt.Sprintf("%s@%s", gone, closed),
		fmt.Sprintf("%s@10.0.0.1:26656", private),
	}})
	settles(t, options(seed), func(t *assert.CollectT, report *crawl.Report) {
		require.Equal(t, 3, report.Visited)
		require.Equal(t, 2, report.Reachable)
		require.Equal(t, 3, report.Heard)
		require.Equal(t, 1, byID(t, report, there.id).HeardFrom)
		require.Equal(t, 4, byID(t, report, seed.id).Told)
		require.Contains(t, byID(t, report, liar).Error, there.id.String())
		require.Contains(t, byID(t, report, gone).Error, "refused")
		require.Equal(t, []string{closed}, byID(t, report, gone).Addresses)
		require.Equal(t, crawl.Heard, byID(t, report, private).State)
	}, visitsAtMost(t, 3), func(report *crawl.Report) {
		for _, n := range report.Nodes {
			assert.NotContains(t, n.Addresses, "10.0.0.1:26656", "a private address that a node on loopback tells is not visited")
		}
	})
}

// Libp2p nodes without a DHT find each other by peer exchange.
func TestPeerExchangeOverLibp2p(t *testing.T) {
	t.Parallel()
	there := startLibp2p(t, spec{tells: []string{}})
	seed := startLibp2p(t, spec{tells: []string{there.addr()}})
	settles(t, options(seed), func(t *assert.CollectT, report *crawl.Report) {
		require.Equal(t, []int{2, 2}, []int{report.Reachable, report.Libp2p})
		require.Empty(t, byID(t, report, seed.id).Error)
	})
}

// Nodes of another network are told of, and lead nowhere.
func TestOtherNetworks(t *testing.T) {
	t.Parallel()
	hidden := startNative(t, spec{network: "other", tells: []string{}})
	other := startNative(t, spec{network: "other", tells: []string{hidden.addr()}})
	seed := startNative(t, spec{tells: []string{other.addr()}})
	settles(t, options(seed), func(t *assert.CollectT, report *crawl.Report) {
		require.Equal(t, 2, report.Reachable)
		require.Equal(t, map[string]int{network: 1, "other": 1}, report.Networks)
		require.Equal(t, 1, report.Native, "the stacks are those of the network")
	}, visitsAtMost(t, 2))

	opts := options(seed, other)
	opts.Network = "other"
	settles(t, opts, func(t *assert.CollectT, report *crawl.Report) {
		require.Equal(t, 3, report.Reachable)
		require.Equal(t, 2, report.Native)
	})
}

func TestQUIC(t *testing.T) {
	t.Parallel()
	with := startLibp2p(t, spec{quic: true})
	without := startLibp2p(t, spec{})
	opts := options(with, without)
	opts.QUIC = true
	settles(t, opts, func(t *assert.CollectT, report *crawl.Report) {
		for _, n := range []*node{with, without} {
			found := byID(t, report, n.id)
			require.NotNil(t, found.QUIC)
			require.Equal(t, n == with, *found.QUIC)
		}
		require.Equal(t, 1, report.QUIC)
	})
}

// An interrupt ends a walk with what was found.
func TestInterrupt(t *testing.T) {
	there := startNative(t, spec{tells: []string{}})
	seed := startNative(t, spec{tells: []string{there.addr()}})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		opts := options(seed)
		opts.AtOnce = 1
		opts.Progress = func(p crawl.Progress) { cancel() }
		report, err := crawl.Run(ctx, opts)
		require.NoError(c, err)
		assert.False(t, report.Complete)
		visitsAtMost(t, 1)(report)
		require.Equal(c, 1, report.Reachable)
		require.Equal(c, crawl.Heard, byID(c, report, there.id).State)
	}, patience, time.Millisecond)
}

// Later walks pass over addresses where nobody answered, but for seeds.
func TestMemory(t *testing.T) {
	gone := types.GenerateNodeKey().ID()
	closed := closedPort(t)
	seed := startNative(t, spec{tells: []string{fmt.Sprintf("%s@%s", gone, closed)}})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		opts := options(seed)
		opts.Memory = &crawl.Memory{}
		report, err := crawl.Run(t.Context(), opts)
		require.NoError(c, err)
		require.Contains(c, byID(c, report, gone).Error, "refused")
		require.Equal(c, 2, report.Visited)
		report, err = crawl.Run(t.Context(), opts)
		require.NoError(c, err)
		visitsAtMost(t, 1)(report)
		require.Contains(c, byID(c, report, gone).Error, "not tried again")
		opts.Seeds = append(opts.Seeds, closed)
		report, err = crawl.Run(t.Context(), opts)
		require.NoError(c, err)
		require.Equal(c, 2, report.Visited)
	}, patience, time.Millisecond)
}

// A node that names many ports of a host does not make the walk try them all, nor does it make
// it tell of more nodes than it may.
func TestLimits(t *testing.T) {
	var tells []string
	for port := 1; port <= 25; port++ {
		tells = append(tells, fmt.Sprintf("%s@127.0.0.2:%d", types.GenerateNodeKey().ID(), port))
	}
	seed := startNative(t, spec{tells: tells})
	opts := options(seed)
	opts.MaxNodes = 10
	settles(t, opts, func(t *assert.CollectT, report *crawl.Report) {
		require.Len(t, report.Nodes, 10)
		require.False(t, report.Complete)
	}, visitsAtMost(t, 10), func(report *crawl.Report) { assert.LessOrEqual(t, len(report.Nodes), 10) })
}

// A walk is not complete either if a host has more addresses than are visited.
func TestLimitOfAHost(t *testing.T) {
	tells := func(from, to int) spec {
		var s spec
		for port := from; port <= to; port++ {
			s.tells = append(s.tells, fmt.Sprintf("%s@127.0.0.2:%d", types.GenerateNodeKey().ID(), port))
		}

		return s
	}
	seeds := []*node{startNative(t, tells(1, 30)), startNative(t, tells(31, 60)), startNative(t, tells(61, 64))}
	settles(t, options(seeds...), func(t *assert.CollectT, report *crawl.Report) {
		require.True(t, report.Complete, "64 addresses")
		require.Equal(t, 64+3, report.Visited)
	}, visitsAtMost(t, 64+3))

	settles(t, options(append(seeds, startNative(t, tells(65, 65)))...), func(t *assert.CollectT, report *crawl.Report) {
		require.False(t, report.Complete, "65 addresses")
		require.Equal(t, 64+4, report.Visited)
	}, visitsAtMost(t, 64+4))
}

// A node that answers, and is said to be at the address of another one, does not keep the walk from the
// other one.
func TestNobodyIsHidden(t *testing.T) {
	t.Parallel()
	hidden := startNative(t, spec{tells: []string{}})
	teller := startNative(t, spec{tells: []string{hidden.addr()}})
	seed := startNative(t, spec{claims: []string{hidden.at.DialString()}, tells: []string{teller.addr()}})
	opts := options(seed)
	opts.AtOnce = 1 // the turn of the address comes before the teller is heard
	settles(t, opts, func(t *assert.CollectT, report *crawl.Report) {
		require.True(t, report.Complete)
		require.Equal(t, crawl.Reachable, byID(t, report, hidden.id).State)
		require.Equal(t, 3, report.Visited)
	}, visitsAtMost(t, 3))
}

func TestNobodyAnswers(t *testing.T) {
	opts := options()
	opts.Seeds = []string{closedPort(t)}
	report, err := crawl.Run(t.Context(), opts)
	require.ErrorIs(t, err, crawl.ErrNoSeed)
	require.ErrorContains(t, err, "refused")
	require.Zero(t, report.Reachable)
	require.Equal(t, 1, report.Visited)
}

func TestBadOptions(t *testing.T) {
	for want, change := range map[string]func(*crawl.Options){
		"no seed":     func(o *crawl.Options) { o.Seeds = nil },
		"rate 0":      func(o *crawl.Options) { o.Rate = 0 },
		"at-once 0":   func(o *crawl.Options) { o.AtOnce = 0 },
		"timeout 0s":  func(o *crawl.Options) { o.Timeout = 0 },
		"max-nodes 0": func(o *crawl.Options) { o.MaxNodes = 0 },
		`"nowhere"`:   func(o *crawl.Options) { o.Seeds = []string{"nowhere"} },
	} {
		opts := options()
		opts.Seeds = []string{"127.0.0.1:1"}
		change(&opts)
		report, err := crawl.Run(t.Context(), opts)
		require.ErrorContains(t, err, want)
		require.Nil(t, report)
	}
}

// A bridge is known by what it says of itself over libp2p, and suspected by what it withholds
// over the native protocol. It is counted apart.
func TestBridge(t *testing.T) {
	t.Parallel()
	seed := startLibp2p(t, spec{})
	loopback := types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}
	b, err := bridge.New(*types.GenerateNodeKey(), bridge.Config{
		NativeListen: loopback, Libp2pListen: loopback, Libp2pPeers: []*types.NetAddress{&seed.at},
	}, nil)
	require.NoError(t, err)
	require.NoError(t, b.Start())
	t.Cleanup(func() { require.NoError(t, b.Stop()) })
	nativeAt, libp2pAt := b.NativeAddresses()[0], b.Libp2pAddress()
	for at, want := range map[string]string{nativeAt.String(): crawl.BridgeLikely, libp2pAt.String(): crawl.BridgeYes} {
		opts := options(seed)
		opts.Seeds = append([]string{at}, opts.Seeds...)
		settles(t, opts, func(t *assert.CollectT, report *crawl.Report) {
			require.Equal(t, want, byID(t, report, libp2pAt.ID).Bridge)
			require.Equal(t, network, report.Network, "that of the node, not of the bridge")
			require.Equal(t, []int{1, 1}, []int{report.Bridges, report.Libp2p})
		})
	}
}
