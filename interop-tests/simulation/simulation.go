package simulation

import (
	"errors"
	"fmt"
	"time"
)

// sampleInterval is the time between samples of the network.
const sampleInterval = time.Second

// progressInterval is the virtual time between two reports of a phase: ten seconds of a network
// of thousands take minutes.
const progressInterval = 10 * time.Second

// ErrNotDone is wrapped by the error of Run when the network does not form or recover within
// Config.Patience.
var ErrNotDone = errors.New("network has not settled in time")

// Result is the result of a simulation. Times are virtual and have the precision of the
// samples, a second.
type Result struct {
	Config    Config
	Formation Formation
	Idle      Idle
	Churn     Churn
}

// Formation is the phase from the first node until all outbound slots are used.
type Formation struct {
	Connected time.Duration // until all nodes are permanently one graph
	Most      time.Duration // until 95 % of the nodes have used their slots
	Full      time.Duration // until all have
	Cost      Cost
	PeakConns Spread // largest numbers of TCP connections seen
	State     State
}

// Idle is the phase in which the formed network is idle.
type Idle struct {
	For   time.Duration
	Cost  Cost // of the whole phase
	State State
}

// Churn is the phase in which nodes leave, half of them without goodbyes, and others join.
type Churn struct {
	Left, Joined int
	Fewest       int           // fewest of the staying nodes that had used their slots
	MostParts    int           // most connected components of the staying nodes
	Apart        time.Duration // how long the staying nodes were not one graph
	OneGraph     time.Duration // from the first departure until all nodes are permanently one graph
	Full         time.Duration // until all have used their slots
	Cost         Cost          // of the staying nodes
	State        State
}

// Run simulates a network. It must run in a testing/synctest bubble, and ends all goroutines
// that it starts. The result is complete when there is no error.
func Run(c Config) (r *Result, err error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("invalid configuration: %w", err)
	}
	r = &Result{Config: c}
	w := newWorld(c)
	defer func() { err = errors.Join(err, w.close()) }()

	begun := time.Now()
	for _, phase := range []struct {
		name string
		run  func(*Result) error
	}{{"formed", w.form}, {"idled", w.idle}, {"recovered from churn", w.churn}} {
		if err := phase.run(r); err != nil {
			return r, err
		}
		if c.Progress != nil {
			c.Progress("%d nodes have %s after %s of virtual time", len(w.nodes), phase.name, time.Since(begun))
		}
	}

	return r, nil
}

// play makes the changes at their instants and calls look after every sample interval. It
// returns when look returns true and all changes are made.
func (w *world) play(changes []change, look func(elapsed time.Duration) (done bool)) error {
	begun := time.Now()
	for sample := sampleInterval; ; sample += sampleInterval {
		for len(changes) > 0 && changes[0].at < sample {
			sleepUntil(begun.Add(changes[0].at))
			if err := changes[0].do(); err != nil {
				return err
			}
			changes = changes[1:]
		}
		sleepUntil(begun.Add(sample))
		if done := look(sample); done && len(changes) == 0 {
			return nil
		}
		if w.c.Progress != nil && sample%progressInterval == 0 {
			w.c.Progress("%d nodes run after %s of this phase", len(w.nodes), sample)
		}
		if sample >= w.c.Patience {
			return fmt.Errorf("%w: %s", ErrNotDone, w.c.Patience)
		}
	}
}

func sleepUntil(at time.Time) {
	if wait := time.Until(at); wait > 0 {
		time.Sleep(wait)
	}
}

// form makes all nodes join and waits until they have used their slots.
func (w *world) form(r *Result) error {
	f := &r.Formation
	if err := w.join(); err != nil { // the seed
		return err
	}
	others := make([]func() error, w.c.Nodes-1)
	for i := range others {
		others[i] = w.join
	}
	peaks := make(map[*node]float64)
	err := w.play(w.spread(w.c.JoinWindow, others), func(elapsed time.Duration) bool {
		for _, n := range w.nodes {
			peaks[n] = max(peaks[n], float64(n.host.Conns()))
		}
		g := observe(w.nodes)
		full, whole := g.full(w.c.MaxOutbound), len(w.nodes) == w.c.Nodes
		f.Connected = firstTime(f.Connected, whole && g.parts() == 1, elapsed)
		f.Most = firstTime(f.Most, whole && 20*full >= 19*len(w.nodes), elapsed)
		f.Full = elapsed

		return whole && full == len(w.nodes) && f.Connected > 0
	})
	for i, n := range w.nodes {
		f.PeakConns.add(peaks[n], i == 0, len(w.nodes))
	}
	f.Cost = costOf(w.nodes, nil)
	f.State = stateOf(w.nodes)

	return failed("forming", err, w.nodes, w.c)
}

// firstTime returns the time from which yes has been true without interruption, 0 when it is
// false. since is the last result.
func firstTime(since time.Duration, yes bool, elapsed time.Duration) time.Duration {
	switch {
	case !yes:
		return 0
	case since == 0:
		return elapsed
	default:
		return since
	}
}

// idle measures the idle network.
func (w *world) idle(r *Result) error {
	before := meters(w.nodes)
	time.Sleep(w.c.Idle)
	r.Idle = Idle{For: w.c.Idle, Cost: costOf(w.nodes, before), State: stateOf(w.nodes)}

	return nil
}

// churn makes nodes leave and as many join, and waits until the network has recovered.
func (w *world) churn(r *Result) error {
	leaving, staying := w.split()
	f := &r.Churn
	*f = Churn{Left: len(leaving), Joined: len(leaving), Fewest: len(staying), MostParts: 1}
	changes := make([]func() error, 0, 2*len(leaving))
	for i, n := range leaving {
		end := n.stop
		if i%2 == 1 {
			end = n.vanish
		}
		changes = append(changes, w.join, func() error {
			w.leave(n, end)

			return nil
		})
	}
	before := meters(staying)
	all := w.spread(w.c.ChurnWindow, changes)
	last := time.Duration(0)
	if len(all) > 0 {
		last = all[len(all)-1].at
	}
	err := w.play(all, func(elapsed time.Duration) bool {
		if parts := observe(staying).parts(); parts > 1 {
			f.MostParts = max(f.MostParts, parts)
			f.Apart += sampleInterval
		}
		g := observe(w.nodes)
		f.Fewest = min(f.Fewest, g.full(w.c.MaxOutbound, staying...))
		f.OneGraph = firstTime(f.OneGraph, elapsed > last && g.parts() == 1, elapsed)
		f.Full = elapsed

		return g.full(w.c.MaxOutbound) == len(w.nodes) && f.OneGraph > 0
	})
	f.Cost = costOf(staying, before)
	f.State = stateOf(w.nodes)

	return failed("recovering", err, w.nodes, w.c)
}

// split chooses the nodes that leave. The seed stays.
func (w *world) split() (leaving, staying []*node) {
	count := int(w.c.Churn * float64(len(w.nodes)-1))
	order := w.random.Perm(len(w.nodes) - 1)
	goes := make(map[int]bool, count)
	for _, i := range order[:count] {
		goes[i+1] = true
		leaving = append(leaving, w.nodes[i+1])
	}
	for i, n := range w.nodes {
		if !goes[i] {
			staying = append(staying, n)
		}
	}

	return leaving, staying
}

// failed adds to an error how many nodes are not done.
func failed(doing string, err error, nodes []*node, c Config) error {
	if err == nil {
		return nil
	}
	g := observe(nodes)
	err = fmt.Errorf("%s: %d of %d nodes have used their slots, %d parts: %w",
		doing, g.full(c.MaxOutbound), len(nodes), g.parts(), err)
	for i, n := range nodes {
		if !g.isFull(i, c.MaxOutbound) {
			return fmt.Errorf("%w; node %d has %d outbound peers, %d links it has dialed; %+v; failed dials %v",
				err, i, n.sw.Peers().NumOutbound(), g.outbound(i), n.d.Stats(), n.counted().failures)
		}
	}

	return err
}
