//go:build linux

package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/clock"
)

// Continents holds the continent (box.Continents) of each of seven validators.
var Continents = []int{0, 1, 2, 3, 4, 0, 1}

const (
	// firstBlocks is how many blocks are made before anything is measured.
	firstBlocks = 2
	// startPatience is how long the first blocks may take.
	startPatience = 2 * time.Minute
)

// Kind is what the validators run.
type Kind struct {
	// Name is the row of the table.
	Name string
	// Stacks names the stack of package cluster of each validator, in turn.
	Stacks []string
	// Migrates tells that connections outlive a new address of one of their ends.
	Migrates bool
	// Bridge connects all validators to a bridge in Europe, at a place of its own.
	Bridge bool
}

// Kinds returns the rows of the table. The first one is the reference.
func Kinds() []Kind {
	gno, libp2p := cluster.Gno().Name, cluster.Libp2p().Name

	return []Kind{
		{Name: "gno v1.7.1", Stacks: []string{gno}},
		{Name: "native", Stacks: []string{cluster.Native().Name}},
		{Name: "libp2p, TCP", Stacks: []string{libp2p}},
		{Name: "libp2p, QUIC", Stacks: []string{cluster.Libp2pQUIC().Name}, Migrates: true},
		{Name: "dual", Stacks: []string{cluster.Dual().Name}},
		{Name: "4 gno, 3 libp2p, bridge", Stacks: []string{gno, libp2p}, Bridge: true},
	}
}

// World returns the network of Continents, with one place more for a bridge: typical round
// trips between them, the same loss on every path, and the same uplink everywhere.
func World(loss float64, uplink box.Uplink, congestion string, seed uint64) box.Config {
	at := func(place int) int { return append(slices.Clone(Continents), 0)[place] }

	return box.Config{
		Places: len(Continents) + 1,
		Path: func(from, to int) box.Path {
			return box.Path{Delay: box.RoundTrip(at(from), at(to)) / 2, Loss: loss}
		},
		Uplink: box.Everywhere(uplink), Congestion: congestion, Seed: seed,
	}
}

// Run describes one run of consensus.
type Run struct {
	Kind Kind
	// Box has a place for each validator and one more for the bridge.
	Box box.Config
	// BlockBytes is the size of the transactions of each block.
	BlockBytes int
	// During is how long is measured.
	During time.Duration
	// Cut is how long the validators are cut into two parts afterwards, none of which can make
	// blocks; 0 omits it. CutPatience is how long they may take to be as before.
	Cut time.Duration
	// Move gives the last validator another address then. It dials all others.
	Move bool
	// Patience is how long the chain may take to be as before, after each of them.
	Patience time.Duration
}

// Result is what a run has measured.
type Result struct {
	Blocks int
	During time.Duration
	// Commit holds the times from the first proposal of a height to its commit, for each node
	// and height, sorted.
	Commit []time.Duration
	// LateRounds is how many blocks needed more than one round.
	LateRounds int
	// BlockWire is the number of bytes of IP packets that all nodes sent together for a block.
	BlockWire float64
	// BlockSize is the mean size of a block.
	BlockSize float64
	// Restored is how long after the cut every node had the next two blocks and all peers.
	Restored time.Duration
	// Moved is how long after the move every node had the next two blocks, and the one that has
	// moved had a new connection to each peer, or the former one where that migrates; 0 if that
	// was not so within Patience.
	Moved time.Duration
	// Late is how late the router was from the begin of the measured window.
	Late time.Duration
}

// Void reports whether the router was too late for the figures to mean anything.
func (r Result) Void() bool { return r.Late > box.LateLimit }

// PerMinute returns the blocks a minute.
func (r Result) PerMinute() float64 { return float64(r.Blocks) / r.During.Minutes() }

// Quantile returns a quantile of Commit; 0 if no block was made.
func (r Result) Quantile(q float64) time.Duration {
	if len(r.Commit) == 0 {
		return 0
	}

	return r.Commit[min(len(r.Commit)-1, int(q*float64(len(r.Commit))))]
}

// Measure makes the box and runs the validators in it.
func Measure(ctx context.Context, run Run) (result Result, err error) {
	n, err := newNetwork(run.Box)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	validators := run.Box.Places - 1
	for i := range validators {
		if _, err := n.add(run.Kind.Stacks[i%len(run.Kind.Stacks)], true, nodeSpec{BlockBytes: run.BlockBytes}); err != nil {
			return result, err
		}
	}
	if run.Kind.Bridge {
		if err := n.addBridge(validators); err != nil {
			return result, err
		}
	}
	n.link()
	for _, m := range n.nodes {
		if err := n.start(m); err != nil {
			return result, err
		}
	}
	c := consensus{network: n, proposed: make(map[int64]time.Duration)}
	start, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("not within %v", startPatience))
	defer cancel()
	if err := n.await(start, "first blocks", c.seen, func() bool { return n.reached(firstBlocks) && n.connected() }); err != nil {
		return result, err
	}
	result, err = c.measure(ctx, run.During)
	if err == nil && run.Cut > 0 {
		result.Restored, err = c.cut(ctx, run.Cut, run.Patience)
	}
	if err == nil && run.Move {
		if result.Moved, err = c.move(ctx, run.Kind.Migrates, run.Patience); errors.Is(err, errNotWithin) {
			result.Moved, err = 0, nil
		}
	}
	result.Late = max(result.Late, n.box.Late())

	return result, err
}

// reached reports whether every node has a block at the height.
func (n *network) reached(height int64) bool {
	return !slices.ContainsFunc(n.nodes, func(m *member) bool { return m.height() < height })
}

// connected reports whether every node has all its peers. Of a bridge they are not known.
func (n *network) connected() bool {
	return n.bridge != nil || !slices.ContainsFunc(n.nodes, func(m *member) bool { return m.peers != n.peersOf(m) })
}

// consensus collects when blocks were proposed.
type consensus struct {
	*network

	proposed map[int64]time.Duration // by height, in the first round
}

func (c *consensus) seen(e of) {
	if p := e.Proposing; p != nil {
		if at, ok := c.proposed[p.Height]; !ok || p.At < at {
			c.proposed[p.Height] = p.At
		}
	}
}

// measure watches for a time and evaluates the blocks that were proposed and committed by
// every node in it.
func (c *consensus) measure(ctx context.Context, during time.Duration) (Result, error) {
	c.box.Late()
	from, bytes, height := clock.Now(), c.box.Total().Bytes, c.top()
	if err := c.watch(ctx, during, c.seen); err != nil {
		return Result{}, err
	}
	to := clock.Now()
	r := Result{During: to - from, Late: c.box.Late()}
	if made := c.top() - height; made > 0 {
		r.BlockWire = float64(c.box.Total().Bytes-bytes) / float64(made)
	}
	for h, proposed := range c.proposed {
		if proposed < from {
			continue
		}
		commits, late, size := c.commits(h, proposed, to)
		if commits == nil {
			continue
		}
		r.Blocks++
		r.Commit = append(r.Commit, commits...)
		r.BlockSize += float64(size)
		if late {
			r.LateRounds++
		}
	}
	if r.Blocks > 0 {
		r.BlockSize /= float64(r.Blocks)
	}
	slices.Sort(r.Commit)

	return r, nil
}

// commits returns how long after the proposal each node committed a block, or nil if one did
// not until a time.
func (c *consensus) commits(height int64, proposed, until time.Duration) (took []time.Duration, late bool, size int) {
	for _, m := range c.nodes {
		committed, ok := m.at(height)
		if !ok || committed.At > until {
			return nil, false, 0
		}
		took = append(took, committed.At-proposed)
		late, size = late || committed.Round > 0, committed.Bytes
	}

	return took, late, size
}

// top returns the greatest height.
func (n *network) top() (top int64) {
	for _, m := range n.nodes {
		top = max(top, m.height())
	}

	return top
}
