//go:build linux

// Command scale measures one node with many peers on each stack and prints a table:
//
//	go run ./interop-tests/wan/cmd/scale           # 100 peers, about a minute
//	go run ./interop-tests/wan/cmd/scale -full     # 1000 peers
//
// ../../README.md describes the measurements. It needs Linux and root, or a user namespace:
// build it, and run it under unshare -rn.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/machine"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/scale"
)

func main() {
	child.Main(scale.Roles())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, s, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		stop()
		os.Exit(1)
	}
}

// settings holds what is measured.
type settings struct {
	scale.Run

	stacks *regexp.Regexp
}

func parse(args []string) (settings, error) {
	var s settings
	fs := flag.NewFlagSet("scale", flag.ContinueOnError)
	full := fs.Bool("full", false, "1000 peers that come within 2 s, and longer times")
	peers := fs.Int("peers", 0, "peers of the hub (default 100, full 1000)")
	stacks := fs.String("stacks", "", "regular expression on the names of the rows")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	if fs.NArg() > 0 {
		return s, fmt.Errorf("it takes flags only, not %q", fs.Args())
	}
	s.Run = scale.Run{
		Peers: 100, Processes: 2, Within: 200 * time.Millisecond, Settle: time.Second, Idle: time.Second,
		Broadcasts: 3, Patience: 2 * time.Minute,
	}
	if *full {
		s.Run = scale.Run{
			Peers: 1000, Processes: 4, Within: 2 * time.Second, Settle: 10 * time.Second, Idle: 20 * time.Second,
			Broadcasts: 20, Patience: 5 * time.Minute,
		}
	}
	if *peers != 0 {
		s.Peers = *peers
	}
	var err error
	s.stacks, err = regexp.Compile(*stacks)

	return s, err
}

// rows returns the stacks by their name in the table. The first one is the reference.
func rows() []struct{ name, stack string } {
	return []struct{ name, stack string }{
		{"gno v1.7.1", cluster.Gno().Name},
		{"native", cluster.Native().Name},
		{"libp2p, TCP", cluster.Libp2p().Name},
		{"libp2p, QUIC", cluster.Libp2pQUIC().Name},
		{"dual", cluster.Dual().Name},
	}
}

// run measures and prints the table. A stack that does not get as far as asked is a row too.
func run(ctx context.Context, s settings, out, log io.Writer) error {
	if _, err := fmt.Fprintf(out, "%s, %d cores (%s), Linux %s. %d peers that begin to dial within %v, each at an address of its own, in %d processes\n"+
		"on the same machine. Heap, goroutines and CPU are those of the hub alone, whole, not per peer, unless it says so.\n\n"+
		"| | all are in after | hub CPU for it | heap | goroutines | idle | broadcast of 200 B at the last peer, p50/worst | hub CPU a peer |\n|---|---|---|---|---|---|---|---|\n",
		runtime.Version(), runtime.NumCPU(), machine.CPU(), machine.Setting("kernel/osrelease"), s.Peers, s.Within, s.Processes); err != nil {
		return err
	}
	for _, row := range rows() {
		if !s.stacks.MatchString(row.name) {
			continue
		}
		fmt.Fprintln(log, time.Now().Format(time.TimeOnly), row.name)
		s.Stack = row.stack
		r, err := scale.Measure(ctx, s.Run)
		if errors.Is(err, box.ErrUnavailable) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		line := fmt.Sprintf("| %s | failed: %v |||||||\n", row.name, err)
		if err == nil {
			line = fmt.Sprintf("| %s | %.2f s | %.2f s | %.1f MiB | %d | %.2f %% of a core | %.1f/%.1f ms | %.2f µs |\n",
				row.name, r.Storm.Seconds(), r.StormCPU.Seconds(), float64(r.Heap)/(1<<20), r.Goroutines, 100*r.CPU,
				ms(r.Broadcast[len(r.Broadcast)/2]), ms(r.Broadcast[len(r.Broadcast)-1]), float64(r.BroadcastCPU)/1e3)
		}
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}

	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
