package simulation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/simulation/simnet"
)

const (
	// maxDown is the longest time for which a node that changes its stack is down.
	maxDown = 10 * time.Second
	// grace is how long after its start a node may be without the others, and
	// bridgeGrace how long the two sides may be after the start of the dual node that
	// connects them.
	grace       = 15 * time.Second
	bridgeGrace = time.Minute
)

// ErrApart is wrapped by the error of Migrate when the network was not one graph.
var ErrApart = errors.New("network is not one graph")

// Mix says which part of the nodes is native, and which is libp2p. The others are dual.
type Mix struct{ Native, Libp2p float64 }

// String tells the parts in percent.
func (m Mix) String() string {
	return fmt.Sprintf("%.0f %% native, %.0f %% dual, %.0f %% libp2p",
		100*m.Native, 100*(1-m.Native-m.Libp2p), 100*m.Libp2p)
}

// counts returns how many of so many nodes are of each kind.
func (m Mix) counts(nodes int) (c [kinds]int) {
	c[Native] = int(m.Native * float64(nodes))
	c[Libp2p] = int(m.Libp2p * float64(nodes))
	c[Dual] = nodes - c[Native] - c[Libp2p]

	return c
}

// Step is what happened while a network went over to another mix.
type Step struct {
	Mix                 Mix
	Moved, Left, Joined int           // nodes that have changed their stack, left, and joined
	OneGraph            time.Duration // from the first change until all nodes are permanently one graph
	Full                float64       // part of the nodes with all outbound slots used at the end
	Links               map[types.Stack]int
	KiBSent, Dials      Spread // of a node, without those that left; Seed is the seed's
}

// Migrate simulates a network that forms as the first mix and then goes over to the others, one
// after the other. A node that is to be of another kind stops at a random instant within
// Config.ChurnWindow and starts again with the same key, address and address book, while
// Config.Churn of the nodes leave, half of them without goodbyes, and as many join. After
// Config.Idle the next step begins.
//
// The seed is a dual node. It is not part of the graph: the others must be one graph without
// it, from a short time after each start on, while a dual node is among them or one side has no
// nodes. Otherwise the error wraps ErrApart. Migrate must run in a testing/synctest bubble, and
// ends all goroutines that it starts.
func Migrate(c Config, mixes []Mix) (steps []Step, err error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("invalid configuration: %w", err)
	}
	for _, mix := range mixes {
		if mix.Native < 0 || mix.Libp2p < 0 || mix.Native+mix.Libp2p > 1 {
			return nil, fmt.Errorf("invalid mix: %s", mix)
		}
	}
	c.PeerExchange = true
	w := newWorld(c)
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.joinAs(Dual); err != nil { // the seed
		return nil, err
	}
	for i, mix := range mixes {
		s := Step{Mix: mix}
		changes := w.goOver
		if i == 0 {
			changes = w.joinAll
		}
		if err := w.step(&s, changes(&s)); err != nil {
			return steps, fmt.Errorf("step %d, to %s: %w", i, mix, err)
		}
		if c.Progress != nil {
			c.Progress("%s: %d moved, %d joined", mix, s.Moved, s.Joined)
		}
		steps = append(steps, s)
	}

	return steps, nil
}

// joinAll returns the changes by which all nodes join.
func (w *world) joinAll(s *Step) []change {
	var joins []func() error
	for kind, count := range s.Mix.counts(w.c.Nodes - 1) {
		for range count {
			joins = append(joins, func() error { return w.joinAs(Kind(kind)) })
		}
	}

	return w.spread(w.c.JoinWindow, joins)
}

// goOver returns the changes that make the mix of the step of the present one, and churn.
func (w *world) goOver(s *Step) []change {
	leaving, staying := w.split()
	targets := w.assign(s.Mix, staying[1:])
	s.Moved, s.Left, s.Joined = len(targets), len(leaving), len(leaving)

	var events []func() error
	for i, n := range leaving {
		end := n.stop
		if i%2 == 1 {
			end = n.vanish
		}
		kind := w.draw(s.Mix)
		events = append(events, func() error { return w.joinAs(kind) }, func() error {
			w.leave(n, end)

			return nil
		})
	}
	changes := w.spread(w.c.ChurnWindow, events)
	for _, m := range targets {
		at := w.instant(w.c.ChurnWindow)
		back := at + w.instant(maxDown)
		changes = append(changes, change{at: at, do: func() error {
			w.leave(m.node, m.stop)

			return nil
		}}, change{at: back, do: func() error {
			<-m.ended

			return w.start(m.site, m.to)
		}})
	}
	slices.SortStableFunc(changes, func(a, b change) int { return int(a.at - b.at) })

	return changes
}

// move is a node that is to be of another kind.
type move struct {
	*node

	to Kind
}

// assign returns which of the nodes have to change for the mix, as few as possible.
func (w *world) assign(mix Mix, nodes []*node) (moves []move) {
	missing := mix.counts(len(nodes))
	var others []*node
	for _, i := range w.random.Perm(len(nodes)) {
		if n := nodes[i]; missing[n.kind] > 0 {
			missing[n.kind]--
		} else {
			others = append(others, n)
		}
	}
	for kind, count := range missing {
		for _, n := range others[:count] {
			moves = append(moves, move{node: n, to: Kind(kind)})
		}
		others = others[count:]
	}

	return moves
}

// draw returns the kind of a node that joins.
func (w *world) draw(mix Mix) Kind {
	switch x := w.random.Float64(); {
	case x < mix.Native:
		return Native
	case x < mix.Native+mix.Libp2p:
		return Libp2p
	default:
		return Dual
	}
}

// step makes the changes, waits for Config.Idle, and measures.
func (w *world) step(s *Step, changes []change) error {
	before := make(map[*simnet.Host]simnet.Traffic)
	for _, n := range w.nodes {
		before[n.host] = n.host.Traffic()
	}
	last := time.Duration(0)
	if len(changes) > 0 {
		last = changes[len(changes)-1].at
	}
	var apart error
	err := w.play(changes, func(elapsed time.Duration) bool {
		if err := w.whole(); err != nil && apart == nil {
			apart = fmt.Errorf("after %s: %w", elapsed, err)
		}
		all := observe(w.nodes[1:])
		s.OneGraph = firstTime(s.OneGraph, elapsed > last && all.parts() == 1, elapsed)

		return elapsed > last+w.c.Idle
	})
	if err = errors.Join(err, apart); err != nil {
		return err
	}
	if s.OneGraph == 0 {
		return fmt.Errorf("at the end: %w", ErrApart)
	}
	w.measure(s, before)

	return nil
}

// whole returns an error unless the nodes that have run for a while are one graph.
func (w *world) whole() error {
	var nodes []*node
	var of [kinds]int
	bridged := false
	for _, n := range w.nodes[1:] {
		age := time.Since(n.started)
		if age >= grace {
			nodes = append(nodes, n)
			of[n.kind]++
		}
		bridged = bridged || n.kind == Dual && age >= bridgeGrace
	}
	if !bridged && of[Native] > 0 && of[Libp2p] > 0 {
		return nil // nobody can connect them
	}
	if len(nodes) == 0 {
		return nil
	}
	g := observe(w.nodes[1:])
	if parts := g.parts(nodes...); parts > 1 {
		return fmt.Errorf("%w: %d native, %d dual and %d libp2p nodes are in %d parts; %s",
			ErrApart, of[Native], of[Dual], of[Libp2p], parts, g.loneliest(nodes))
	}

	return nil
}

// loneliest describes that of the nodes with the fewest links.
func (g *graph) loneliest(among []*node) string {
	links := func(n *node) int { return len(g.peers[g.index[n.id()]]) }
	n := slices.MinFunc(among, func(a, b *node) int { return links(a) - links(b) })

	return fmt.Sprintf("a %s node, started %s ago, has %d links; failed dials %v",
		n.kind, time.Since(n.started), links(n), n.counted().failures)
}

// measure records the links and costs at the end of the step.
func (w *world) measure(s *Step, before map[*simnet.Host]simnet.Traffic) {
	others := w.nodes[1:]
	g := observe(others)
	s.Full = float64(g.full(w.c.MaxOutbound)) / float64(len(others))
	s.Links = make(map[types.Stack]int)
	for _, n := range others {
		for _, p := range n.sw.Peers().List() {
			if r, ok := p.(compat.StackReporter); ok && p.IsOutbound() {
				s.Links[r.Stack()]++
			}
		}
	}
	for i, n := range w.nodes {
		spent := n.host.Traffic().Sub(before[n.host])
		s.KiBSent.add(float64(spent.BytesSent)/1024, i == 0, len(w.nodes))
		s.Dials.add(float64(spent.Dials), i == 0, len(w.nodes))
	}
}
