//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/machine"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
)

// report writes the tables.
type report struct {
	settings

	out, log io.Writer
	err      error // the first of writing to out
	runs     int
	void     int

	commits []commitCell // for the plot
	urgents []urgentCell // for the plot, if there are no commits
}

// printf writes to the report.
func (r *report) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(r.out, format, args...); err != nil {
		r.err = cmp.Or(r.err, err)
	}
}

// progress tells what is being measured.
func (r *report) progress(format string, args ...any) {
	fmt.Fprintf(r.log, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}

// head tells on what the measurements depend.
func (r *report) head() {
	r.printf("%s, %d cores (%s), Linux %s. ", runtime.Version(), runtime.NumCPU(), machine.CPU(), machine.Setting("kernel/osrelease"))
	queue := "100 ms of the rate"
	if r.queue > 0 {
		queue = fmt.Sprintf("%d B", r.queue)
	}
	r.printf("Uplinks of %g Mbit/s with a queue of %s. TCP: %s; QUIC: quic-go's Reno. ", r.uplink, queue, r.congestion)
	r.printf("tcp_rmem %s, tcp_wmem %s; net.core.rmem_max %s (UDP). ", box.TCPReceiveMemory, box.TCPSendMemory, machine.Setting("net/core/rmem_max"))
	if r.burst > 1 {
		r.printf("Losses in bursts of %g packets. ", r.burst)
	}
	if r.jitter > 0 {
		r.printf("Jitter of up to %v one way. ", r.jitter)
	}
	r.printf("%d runs a cell.\n", r.seeds)
}

// section writes a heading with an explanation.
func (r *report) section(title, explanation string) {
	r.printf("\n## %s\n\n%s\n\n", title, explanation)
}

// table writes the head of a table.
func (r *report) table(columns ...string) {
	r.printf("| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
}

// row writes a row of a table.
func (r *report) row(cells ...string) { r.printf("| %s |\n", strings.Join(cells, " | ")) }

// measured is a result that may be void.
type measured interface{ Void() bool }

// cell is the runs of one cell of a table.
type cell[T measured] struct {
	results []T
	void    int
	late    time.Duration // of the void run that was late least
	err     error         // of the last run that failed
}

// collect measures a cell with each seed. A void run is repeated. A run that fails is a result
// too: the cell tells it. lateness returns how late the router was.
func collect[T measured](
	ctx context.Context, r *report, what string, measure func(ctx context.Context, seed int) (T, error), lateness func(T) time.Duration,
) (cell[T], error) {
	var c cell[T]
	for seed := 1; seed <= r.seeds; seed++ {
		for try := 1; try <= r.tries; try++ {
			r.progress("%s, seed %d", what, seed)
			r.runs++
			result, err := measure(ctx, seed)
			if ctx.Err() != nil {
				return c, ctx.Err()
			}
			if unavailable(err) {
				return c, err
			}
			if err != nil {
				c.err = err
				r.progress("%s: %v", what, err)

				break
			}
			if !result.Void() {
				c.results = append(c.results, result)

				break
			}
			r.void++
			c.void++
			if late := lateness(result); c.late == 0 || late < c.late {
				c.late = late
			}
		}
	}

	return c, nil
}

// text returns the text of a cell: that of its results, or why there are none.
func (c cell[T]) text(of func([]T) string) string {
	switch {
	case len(c.results) > 0 && c.err != nil:
		return of(c.results) + " (one failed)"
	case len(c.results) > 0:
		return of(c.results)
	case c.err != nil:
		return "failed: " + firstLine(c.err)
	default:
		return fmt.Sprintf("void (router %v late)", c.late.Round(time.Millisecond))
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	const most = 60
	if len(line) > most {
		line = line[:most] + "…"
	}

	return strings.ReplaceAll(line, "|", "/")
}

// median returns the median of a figure of at least one result.
func median[T any, V cmp.Ordered](results []T, of func(T) V) V {
	var values []V
	for _, r := range results {
		values = append(values, of(r))
	}
	slices.Sort(values)

	return values[len(values)/2]
}

// ms formats a time in milliseconds.
func ms(d time.Duration) string {
	v := float64(d) / float64(time.Millisecond)
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}

	return fmt.Sprintf("%.0f", v)
}

func percent(share float64) string { return fmt.Sprintf("%g %%", 100*share) }

// voidRuns tells how many runs were void.
func (r *report) voidRuns() {
	r.printf("\n%d of %d runs were void so far, because the router was more than %v late.\n", r.void, r.runs, box.LateLimit)
}
