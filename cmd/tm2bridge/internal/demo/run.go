package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// MaxNodes is the largest Options.Nodes. All nodes run in one process.
const MaxNodes = 16

// Timeouts are how long the demo waits at most. Tests lengthen them before the first run, since what
// a busy machine delays is no fault.
var Timeouts = struct {
	Ready   time.Duration // until all nodes have their peers
	Drain   time.Duration // for the last messages, and again for the closing frames
	Recover time.Duration // until nodes are joined again
}{30 * time.Second, 15 * time.Second, time.Minute}

// Options configures a run.
type Options struct {
	Nodes    int           // per side, from 1 to MaxNodes
	Duration time.Duration // how long messages are originated
	Seed     uint64        // of the sizes, channels and contents of messages
	Logger   *slog.Logger  // nil discards
	// Progress is called about once a second, from one goroutine. It may be nil.
	Progress func(Snapshot)
	// Begin is called once, when all nodes have their peers. It may be nil.
	Begin func(Topology)
	// HTTP is the IP and port of the bridge's page; empty: it has none.
	HTTP string
}

// Validate returns an error that names the flag of the demo command at fault.
func (o Options) Validate() error {
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return fmt.Errorf("--nodes %d: it must be between 1 and %d", o.Nodes, MaxNodes)
	}
	if o.Duration <= 0 {
		return fmt.Errorf("--duration %s: it must be positive", o.Duration)
	}

	return nil
}

// Run runs the demo. When the context ends, it stops sending, waits for the last messages,
// and still returns a summary. Faults of the run are not an error of Run: see Summary.Err.
// All nodes have stopped when Run returns.
func Run(ctx context.Context, opts Options) (summary *Summary, err error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := newCluster(opts.Nodes, opts.Logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()

	if err := c.awaitPeers(ctx); err != nil {
		return nil, err
	}

	closePage, err := c.serve(opts.HTTP)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closePage()) }()
	if opts.Begin != nil {
		opts.Begin(c.topology())
	}

	return c.measure(ctx, opts), nil
}

func (c *cluster) awaitPeers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Timeouts.Ready)
	defer cancel()
	if err := c.wait(ctx, c.meshed); err != nil {
		s := c.account()
		return fmt.Errorf("the nodes did not find their peers (native nodes have %v, libp2p nodes %v, the bridge %d pairs): %w",
			s.Native.Peers, s.Libp2p.Peers, s.Pairs, err)
	}
	for _, n := range c.nodes {
		n.reactor.mayEnd.Store(false)
	}

	return nil
}

// measure runs the traffic and the drain and returns the summary.
func (c *cluster) measure(ctx context.Context, opts Options) *Summary {
	// The drain runs after an interruption too, so that messages under way do not count
	// as lost.
	uninterrupted, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	var reporting sync.WaitGroup
	if opts.Progress != nil {
		reporting.Go(func() { c.report(uninterrupted, opts.Progress) })
	}

	begin := time.Now()
	c.originate(ctx, opts)
	took := time.Since(begin)
	c.drain(uninterrupted)
	done()
	reporting.Wait()

	summary := c.summarize()
	summary.Duration, summary.Seed = took.Seconds(), opts.Seed

	return summary
}

// report passes a snapshot to progress every second, and one more when the context ends.
func (c *cluster) report(ctx context.Context, progress func(Snapshot)) {
	begin := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var last Snapshot
	for ended := false; !ended; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			ended = true
		}
		s := c.account()
		s.Elapsed = time.Since(begin).Seconds()
		s.Native.rate(last.Native, s.Elapsed-last.Elapsed)
		s.Libp2p.rate(last.Libp2p, s.Elapsed-last.Elapsed)
		progress(s)
		last = s
	}
}

// rate sets the rates since an earlier state.
func (s *Side) rate(before Side, seconds float64) {
	if seconds > 0 {
		s.SentRate = float64(s.Sent-before.Sent) / seconds
		s.DeliveredRate = float64(s.Delivered-before.Delivered) / seconds
	}
}

// originate makes all nodes send until the duration has passed or the context ends.
func (c *cluster) originate(ctx context.Context, opts Options) {
	ctx, cancel := context.WithTimeout(ctx, opts.Duration)
	defer cancel()
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		rng := rand.New(rand.NewPCG(opts.Seed, uint64(i)))
		wg.Go(func() { source(ctx, n.reactor, rng) })
	}
	wg.Wait()
}

// drain waits for the last messages, then exchanges closing frames. The summary counts
// what does not arrive in time.
func (c *cluster) drain(ctx context.Context) {
	c.await(ctx, "messages", c.drained)
	for _, n := range c.nodes {
		n.reactor.finish()
	}
	c.await(ctx, "closing frames", c.finished)
}

func (c *cluster) await(ctx context.Context, what string, arrived func() bool) {
	ctx, cancel := context.WithTimeout(ctx, Timeouts.Drain)
	defer cancel()
	if err := c.wait(ctx, arrived); err != nil {
		c.logger.Warn("not everything arrived in time", "missing", what, "err", err)
	}
}
