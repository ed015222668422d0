//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/chain"
)

// commitCell is a value of the plot.
type commitCell struct {
	kind     string
	loss     float64
	size     int
	p50, p99 time.Duration
}

func lateness(c chain.Result) time.Duration { return c.Late }

// chainsInShort names the rows of chains that the short form has.
var chainsInShort = []string{"gno v1.7.1", "native", "libp2p, TCP"}

// kinds returns the rows of the tables of chains.
func (r *report) kinds() (kinds []chain.Kind) {
	for _, k := range chain.Kinds() {
		if r.stacks.MatchString(k.Name) && (r.full || slices.Contains(chainsInShort, k.Name)) {
			kinds = append(kinds, k)
		}
	}

	return kinds
}

// joiners returns the rows of the table of nodes that join: those of kinds with one stack.
func (r *report) joiners() (kinds []chain.Kind) {
	return slices.DeleteFunc(r.kinds(), func(k chain.Kind) bool { return len(k.Stacks) > 1 })
}

// consensus measures seven validators on five continents.
func (r *report) consensus(ctx context.Context) error {
	r.section("Seven validators on five continents", "gno's consensus with gno's default configuration, but without the wait of 5 s after each block. Blocks a minute;\n"+
		"p50/p99 in ms from the begin of the first proposal of a height to the commit at each validator; blocks that needed\n"+
		"more than one round; and what all validators together sent for a block.")
	for _, size := range r.sizes {
		for _, loss := range r.losses {
			r.table(fmt.Sprintf("Blocks of %d KiB, %s loss", size>>10, percent(loss)), "blocks a minute", "proposal to commit", "late rounds", "sent for a block")
			for _, kind := range r.kinds() {
				if err := r.consensusRow(ctx, kind, size, loss); err != nil {
					return err
				}
			}
			r.printf("\n")
		}
	}
	r.voidRuns()

	return r.err
}

func (r *report) consensusRow(ctx context.Context, kind chain.Kind, size int, loss float64) error {
	what := fmt.Sprintf("consensus of %s with %d KiB and %s", kind.Name, size>>10, percent(loss))
	c, err := collect(ctx, r, what, func(ctx context.Context, seed int) (chain.Result, error) {
		return chain.Measure(ctx, chain.Run{
			Kind: kind, Box: chain.World(loss, r.link(), r.congestion, uint64(seed)), BlockBytes: size, During: r.chainTime(),
		})
	}, lateness)
	if err != nil {
		return err
	}
	if len(c.results) > 0 {
		r.commits = append(r.commits, commitCell{kind.Name, loss, size, commitQuantile(c.results, .5), commitQuantile(c.results, .99)})
	}
	r.row(kind.Name,
		c.text(func(runs []chain.Result) string { return fmt.Sprintf("%.0f", median(runs, chain.Result.PerMinute)) }),
		c.text(func(runs []chain.Result) string {
			return ms(commitQuantile(runs, .5)) + "/" + ms(commitQuantile(runs, .99))
		}),
		c.text(func(runs []chain.Result) string {
			late, all := 0, 0
			for _, run := range runs {
				late, all = late+run.LateRounds, all+run.Blocks
			}

			return fmt.Sprintf("%d of %d", late, all)
		}),
		c.text(func(runs []chain.Result) string {
			return fmt.Sprintf("%.0f KiB", median(runs, func(c chain.Result) float64 { return c.BlockWire })/1024)
		}))

	return nil
}

// chainTime is how long a chain is measured.
func (r *report) chainTime() time.Duration { return r.settings.consensus }

func commitQuantile(runs []chain.Result, q float64) time.Duration {
	return median(runs, func(c chain.Result) time.Duration { return c.Quantile(q) })
}

// sync measures a node that joins.
func (r *report) sync(ctx context.Context) error {
	const blockBytes = 100 << 10
	roundTrip := 100 * time.Millisecond
	r.section("A node that joins", fmt.Sprintf("It gets %d blocks of 100 KiB from one node over a round trip of %v, with gno's default rates of 5.12 MB/s and,\n"+
		"in the full form, with rates lifted: MB/s and blocks a second. The uplink passes %.1f MB/s.", r.history, roundTrip, r.uplink/8))
	columns, rates := []string{""}, []int64{0}
	if r.full {
		rates = append(rates, 1e9)
	}
	for _, loss := range r.losses {
		columns = append(columns, []string{percent(loss) + " loss", percent(loss) + ", rates lifted"}[:len(rates)]...)
	}
	r.table(columns...)
	for _, kind := range r.joiners() {
		cells := []string{kind.Name}
		for _, loss := range r.losses {
			for _, rate := range rates {
				c, err := collect(ctx, r, fmt.Sprintf("sync of %s with %s", kind.Name, percent(loss)), func(ctx context.Context, seed int) (chain.Synced, error) {
					return chain.MeasureSync(ctx, chain.Sync{
						Stack: kind.Stacks[0], Box: r.box(roundTrip, loss, seed), Blocks: r.history, BlockBytes: blockBytes, Rate: rate,
						Patience: time.Minute + r.patience + time.Duration(r.history)*time.Second,
					})
				}, func(s chain.Synced) time.Duration { return s.Late })
				if err != nil {
					return err
				}
				cells = append(cells, c.text(func(runs []chain.Synced) string {
					return fmt.Sprintf("%.2f, %.0f", median(runs, chain.Synced.Rate)/1e6, median(runs, chain.Synced.PerSecond))
				}))
			}
		}
		r.row(cells...)
	}
	r.voidRuns()

	return r.err
}

// patience is how long a chain may take to be as before.
const patience = 3 * time.Minute

// cut measures how long a chain takes to be as before.
func (r *report) cut(ctx context.Context) error {
	r.section("A cut and a move", fmt.Sprintf("The seven validators are cut for %v into three and four, none of which can make blocks. Then, in the full form, the\n"+
		"last one, which dials all others, gets another address. In seconds from the end of the cut, and from the move, until all have two more\n"+
		"blocks and all their peers (with the bridge, only the blocks).", r.settings.cut))
	r.table("", "after the cut", "after the move")
	kinds := r.kinds()
	if !r.full {
		kinds = kinds[:min(1, len(kinds))]
	}
	for _, kind := range kinds {
		c, err := collect(ctx, r, "cut of "+kind.Name, func(ctx context.Context, seed int) (chain.Result, error) {
			return chain.Measure(ctx, chain.Run{
				Kind: kind, Box: chain.World(0, r.link(), r.congestion, uint64(seed)), During: time.Second,
				Cut: r.settings.cut, Move: r.full, Patience: patience,
			})
		}, lateness)
		if err != nil {
			return err
		}
		r.row(kind.Name, c.text(func(runs []chain.Result) string {
			return fmt.Sprintf("%.1f s", median(runs, func(c chain.Result) float64 { return c.Restored.Seconds() }))
		}), c.text(func(runs []chain.Result) string {
			switch moved := median(runs, func(c chain.Result) float64 { return c.Moved.Seconds() }); {
			case !r.full:
				return "not measured"
			case moved == 0:
				return fmt.Sprintf("not within %v", patience)
			default:
				return fmt.Sprintf("%.1f s", moved)
			}
		}))
	}

	return r.err
}
