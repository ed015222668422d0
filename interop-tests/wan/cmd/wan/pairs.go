//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/pair"
)

func unavailable(err error) bool { return errors.Is(err, box.ErrUnavailable) }

// proof measures the box itself.
func (r *report) proof(context.Context) error {
	r.section("The box itself", "Plain UDP and TCP, beside what was asked of the box. A lost round trip was lost on one of two paths.")
	count, interval, during := 500, 2*time.Millisecond, time.Second
	if r.full {
		count, interval, during = 5000, 2*time.Millisecond, 10*time.Second
	}
	var proofs []box.Proof
	for _, roundTrip := range r.roundTrips {
		for _, path := range []box.Path{
			r.path(roundTrip, 0), r.path(roundTrip, .02), {Delay: roundTrip / 2, Loss: .02, Burst: 4},
			{Delay: roundTrip / 2, Jitter: 5 * time.Millisecond}, {Delay: roundTrip / 2, Reorder: .02, ReorderBy: 5 * time.Millisecond},
		} {
			r.progress("box with a round trip of %v", roundTrip)
			c := r.box(roundTrip, 0, 1)
			c.Path = box.Even(path)
			p, err := box.Prove(c, count, interval, during)
			if err != nil {
				return err
			}
			r.runs++
			if p.Void() {
				r.void++
			}
			proofs = append(proofs, p)
		}
	}
	r.err = errors.Join(r.err, box.WriteProofs(r.out, proofs))

	return r.err
}

// urgentCell is a value of the plot.
type urgentCell struct {
	stack     string
	loss      float64
	roundTrip time.Duration
	p50, p99  time.Duration
}

// pairs measures two nodes.
func (r *report) pairs(ctx context.Context) error {
	r.section("Two nodes", "MB/s of 64 KiB messages, and p50/p99 in ms, one way, of an urgent message of 128 B every 20 ms meanwhile.\n"+
		"Rates are lifted for libp2p, dual and the bridge too. In the last column, ms until the nodes are connected, at the first loss.")
	for _, roundTrip := range r.roundTrips {
		columns := []string{fmt.Sprintf("Round trip %v", roundTrip)}
		for _, loss := range r.losses {
			columns = append(columns, percent(loss)+" loss")
		}
		r.table(append(columns, fmt.Sprintf("connect at %s", percent(r.losses[0])))...)
		for _, stack := range pair.Stacks() {
			if !r.stacks.MatchString(stack.Name) {
				continue
			}
			if err := r.pairRow(ctx, stack, roundTrip); err != nil {
				return err
			}
		}
		r.printf("\n")
	}
	r.voidRuns()

	return r.err
}

func (r *report) pairRow(ctx context.Context, stack pair.Stack, roundTrip time.Duration) error {
	cells, connect := []string{stack.Name}, ""
	for i, loss := range r.losses {
		what := fmt.Sprintf("%s at %v with %s", stack.Name, roundTrip, percent(loss))
		c, err := collect(ctx, r, what, func(ctx context.Context, seed int) (pair.Result, error) {
			return pair.Measure(ctx, pair.Run{
				Stack: stack, Box: r.box(roundTrip, loss, seed), Warmup: r.warmup, During: r.during, Patience: r.patience,
			})
		}, func(p pair.Result) time.Duration { return p.Late })
		if err != nil {
			return err
		}
		cells = append(cells, c.text(func(runs []pair.Result) string {
			p50, p99 := quantile(runs, .5), quantile(runs, .99)
			r.urgents = append(r.urgents, urgentCell{stack.Name, loss, roundTrip, p50, p99})

			return fmt.Sprintf("%.2f, %s/%s", median(runs, func(p pair.Result) float64 { return p.Rate })/1e6, ms(p50), ms(p99))
		}))
		if i == 0 {
			connect = c.text(func(runs []pair.Result) string {
				return ms(median(runs, func(p pair.Result) time.Duration { return p.Connect }))
			})
		}
	}
	r.row(append(cells, connect)...)

	return nil
}

func quantile(runs []pair.Result, q float64) time.Duration {
	return median(runs, func(p pair.Result) time.Duration { return p.Quantile(q) })
}

// wire measures what a vote and a part of a block are on the wire.
func (r *report) wire(ctx context.Context) error {
	r.section("Bytes on the wire", "IP packets both ways, acknowledgements included, without loss: for a vote of 200 B every 20 ms,\n"+
		"and for 1 MiB in parts of 64 KiB sent at once. What connections do in the meantime is in it.")
	r.table("", "a vote of 200 B", "a block of 1 MiB", "times its size")
	const parts = 16
	votes := 25
	if r.full {
		votes = 250
	}
	for _, stack := range pair.Stacks() {
		if !r.stacks.MatchString(stack.Name) {
			continue
		}
		c, err := collect(ctx, r, "bytes of "+stack.Name, func(ctx context.Context, seed int) (pair.Result, error) {
			return pair.Measure(ctx, pair.Run{
				Stack: stack, Box: r.box(r.roundTrips[0], 0, seed), Votes: votes, Parts: parts, Patience: r.patience,
			})
		}, func(p pair.Result) time.Duration { return p.Late })
		if err != nil {
			return err
		}
		block := func(p pair.Result) float64 { return parts * p.PartBytes }
		r.row(stack.Name,
			c.text(func(runs []pair.Result) string {
				return fmt.Sprintf("%.0f B", median(runs, func(p pair.Result) float64 { return p.VoteBytes }))
			}),
			c.text(func(runs []pair.Result) string { return fmt.Sprintf("%.0f KiB", median(runs, block)/1024) }),
			c.text(func(runs []pair.Result) string { return fmt.Sprintf("%.3f", median(runs, block)/(1<<20)) }))
	}

	return r.err
}
