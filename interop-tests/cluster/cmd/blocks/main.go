// Command blocks measures how fast real TM2 validators make blocks over each stack:
//
//	go run ./interop-tests/cluster/cmd/blocks
//
// All validators have gno's default p2p configuration and its consensus timeouts for tests.
// They run in one process; a bridge runs in another. The topologies are measured in turn,
// several times. The command prints a Markdown table with the median of each topology, its
// range, and the ratio of the median to that of gno's own switch. With -atleast, it fails if
// that ratio is smaller for four validators on a switch of this project.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"
)

// patience is how long a run may take in addition to the measured time.
const patience = time.Minute

// row is a topology with the rates of its runs, in blocks per second.
type row struct {
	name     string
	topology cluster.Topology
	ours     bool // all validators are on a switch of this project
	rates    []float64
}

func rows() []*row {
	gno, native, libp2p := cluster.Gno(), cluster.Native(), cluster.Libp2p()
	bridged := []cluster.Stack{gno, gno, libp2p, libp2p}

	return []*row{
		{name: "gno's own switch", topology: cluster.Of(gno, 4)},
		{name: "native switch", ours: true, topology: cluster.Of(native, 4)},
		{name: "libp2p switch, TCP", ours: true, topology: cluster.Of(libp2p, 4)},
		{name: "libp2p switch, QUIC", ours: true, topology: cluster.Of(cluster.Libp2pQUIC(), 4)},
		{name: "gno's MultiplexSwitch on our libp2p transport", topology: cluster.Of(cluster.GnoOnLibp2p(), 4)},
		{name: "gno's MultiplexSwitch on queues in memory", topology: cluster.Of(cluster.Memory(), 4)},
		{name: "2 gno, 2 native", topology: cluster.Topology{
			Validators: []cluster.Stack{gno, gno, native, native}, OwnLinks: true,
		}},
		{name: "2 native, 2 libp2p, bridge", topology: cluster.Topology{
			Validators: []cluster.Stack{native, native, libp2p, libp2p}, OwnLinks: true, Bridge: true,
		}},
		{name: "2 gno, 2 libp2p, bridge", topology: cluster.Topology{
			Validators: bridged, OwnLinks: true, Bridge: true,
		}},
		{name: "the same without links of their own", topology: cluster.Topology{
			Validators: bridged, Bridge: true,
		}},
	}
}

func main() {
	cluster.ChildMain()
	during := flag.Duration("time", 5*time.Second, "how long each run is measured")
	runs := flag.Int("runs", 3, "runs of each topology")
	atLeast := flag.Float64("atleast", 0, "fail if a switch of ours makes less than so many times the blocks of gno's; 0 never does")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "blocks: it takes flags only, not", flag.Args())
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *runs, *during, *atLeast, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "blocks:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, runs int, during time.Duration, atLeast float64, table, progress io.Writer) error {
	if runs < 1 || during <= 0 {
		return fmt.Errorf("nothing to measure: -runs %d -time %s", runs, during)
	}
	all := rows()
	for i := range runs {
		for _, r := range all {
			rate, err := measure(ctx, r.topology, during)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			r.rates = append(r.rates, rate)
			fmt.Fprintf(progress, "run %d of %d: %s: %.1f\n", i+1, runs, r.name, rate)
		}
	}

	return errors.Join(printTable(table, all), check(all, atLeast))
}

// check compares the rows of our switches with the first row. Its error names those that
// are too slow.
func check(all []*row, atLeast float64) error {
	var errs []error
	reference := median(all[0].rates)
	for _, r := range all {
		if times := median(r.rates) / reference; r.ours && times < atLeast {
			errs = append(errs, fmt.Errorf("%s: %.1f times as many blocks as %s, not %.1f", r.name, times, all[0].name, atLeast))
		}
	}

	return errors.Join(errs...)
}

func measure(ctx context.Context, topology cluster.Topology, during time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, during+patience)
	defer cancel()

	return cluster.Rate(ctx, topology, during)
}

// printTable prints all rows, each with its ratio to the first.
func printTable(to io.Writer, all []*row) error {
	w := tabwriter.NewWriter(to, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintln(w, "| Validators\t Blocks/s\t Range\t Times gno\t")
	fmt.Fprintln(w, "|---\t---\t---\t---\t")
	reference := median(all[0].rates)
	for _, r := range all {
		fmt.Fprintf(w, "| %s\t %.1f\t %.1f to %.1f\t %.1f\t\n",
			r.name, median(r.rates), slices.Min(r.rates), slices.Max(r.rates), median(r.rates)/reference)
	}

	return w.Flush()
}

// median returns the median of at least one value, the upper one of an even number.
func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
