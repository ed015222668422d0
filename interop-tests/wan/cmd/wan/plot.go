//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/chain"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/plot"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/pair"
)

// plot writes the plot to the file that was asked for: proposal to commit by stack and loss,
// for the largest blocks, or, if no chain was measured, the latency of urgent messages.
func (r *report) plot() (err error) {
	if r.svg == "" {
		return nil
	}
	c := r.commitChart()
	if len(r.commits) == 0 {
		c = r.urgentChart()
	}
	f, err := os.Create(r.svg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	return c.WriteSVG(f)
}

func (r *report) commitChart() plot.Chart {
	size := r.sizes[len(r.sizes)-1]
	c := plot.Chart{
		Title: fmt.Sprintf("Proposal to commit, 7 validators on five continents, blocks of %d KiB (%s; bar p50, line p99)", size>>10, r.congestion),
		Unit:  "ms", Groups: r.lossNames(),
	}
	for _, kind := range chain.Kinds() {
		s := plot.Series{Name: kind.Name}
		for _, loss := range r.losses {
			var v plot.Value
			for _, cell := range r.commits {
				if cell.kind == kind.Name && cell.loss == loss && cell.size == size {
					v = value(cell.p50, cell.p99)
				}
			}
			s.Values = append(s.Values, v)
		}
		c.Series = append(c.Series, s)
	}

	return c
}

func (r *report) urgentChart() plot.Chart {
	roundTrip := r.roundTrips[len(r.roundTrips)/2]
	c := plot.Chart{
		Title: fmt.Sprintf("Urgent message under a flood, round trip %v (%s; bar p50, line p99)", roundTrip, r.congestion),
		Unit:  "ms", Groups: r.lossNames(),
	}
	for _, stack := range pair.Stacks() {
		s := plot.Series{Name: stack.Name}
		for _, loss := range r.losses {
			var v plot.Value
			for _, cell := range r.urgents {
				if cell.stack == stack.Name && cell.loss == loss && cell.roundTrip == roundTrip {
					v = value(cell.p50, cell.p99)
				}
			}
			s.Values = append(s.Values, v)
		}
		c.Series = append(c.Series, s)
	}

	return c
}

func (r *report) lossNames() (names []string) {
	for _, loss := range r.losses {
		names = append(names, percent(loss)+" loss")
	}

	return names
}

func value(p50, p99 time.Duration) plot.Value {
	const unit = float64(time.Millisecond)

	return plot.Value{Known: true, Low: float64(p50) / unit, High: float64(p99) / unit}
}
