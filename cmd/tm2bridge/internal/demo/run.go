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

const (
	// MaxNodes is the largest Options.Nodes. All nodes run in one process.
	MaxNodes = 16
	// readyTimeout is how long the demo waits until all nodes have their peers.
	readyTimeout = 30 * time.Second
	// drainTimeout is how long the demo waits for the last messages, and again for the
	// closing frames.
	drainTimeout = 15 * time.Second
)

// Options configures a run.
type Options struct {
	Nodes    int           // per side, from 1 to MaxNodes
	Duration time.Duration // how long messages are originated
	Seed     uint64        // of the sizes, channels and contents of messages
	Logger   *slog.Logger  // nil discards
	// Progress is called about once a second, from one goroutine. It may be nil.
	Progress func(Snapshot)
}

func (o Options) validate() error {
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return fmt.Errorf("the number of nodes per side is %d, it must be between 1 and %d", o.Nodes, MaxNodes)
	}
	if o.Duration <= 0 {
		return fmt.Errorf("the duration is %s, it must be positive", o.Duration)
	}

	return nil
}

// Run runs the demo. When the context ends, it stops sending, waits for the last messages,
// and still returns a summary. Faults of the run are not an error of Run: see Summary.Err.
// All nodes have stopped when Run returns.
func Run(ctx context.Context, opts Options) (summary *Summary, err error) {
	if err := opts.validate(); err != nil {
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

	return c.measure(ctx, opts), nil
}

func (c *cluster) awaitPeers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := c.wait(ctx, c.meshed); err != nil {
		s := c.account()
		return fmt.Errorf("the nodes did not find their peers (native nodes have %v, libp2p nodes %v, the bridge %d pairs): %w",
			s.Native.Peers, s.Libp2p.Peers, s.Pairs, err)
	}

	return nil
}

// measure runs the traffic and the drain and returns the summary.
func (c *cluster) measure(ctx context.Context, opts Options) *Summary {
	report := newReporter(c, opts.Progress)
	stopReport := report.start()

	begin := time.Now()
	c.originate(ctx, opts)
	took := time.Since(begin)

	// The drain runs after an interruption too, so that messages under way do not count
	// as lost.
	c.drain(context.WithoutCancel(ctx))
	stopReport()

	summary := c.summarize(c.account())
	summary.Duration, summary.Seed = took.Seconds(), opts.Seed

	return summary
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
	for _, step := range []struct {
		name   string
		begin  func()
		wanted func() bool
	}{
		{"messages", func() {}, c.drained},
		{"closing frames", c.finish, c.finished},
	} {
		step.begin()
		ctx, cancel := context.WithTimeout(ctx, drainTimeout)
		if err := c.wait(ctx, step.wanted); err != nil {
			c.logger.Warn("not everything arrived in time", "missing", step.name, "err", err)
		}
		cancel()
	}
}

func (c *cluster) finish() {
	for _, n := range c.nodes {
		n.reactor.finish()
	}
}
