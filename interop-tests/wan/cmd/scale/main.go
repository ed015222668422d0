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
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/machine"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/outside"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/scale"
)

// scalePath is the import path of package scale.
const scalePath = "github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/scale"

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

	stacks  *regexp.Regexp
	profile string // directory; "" for none
}

func parse(args []string) (settings, error) {
	var s settings
	fs := flag.NewFlagSet("scale", flag.ContinueOnError)
	full := fs.Bool("full", false, "1000 peers that come within 2 s, and longer times")
	peers := fs.Int("peers", 0, "peers of the hub (default 100, full 1000)")
	stacks := fs.String("stacks", "", "regular expression on the names of the rows")
	profile := fs.String("profile", "", "write a CPU profile of the hub's broadcasts on each stack to this directory")
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
	s.profile = *profile
	if *peers != 0 {
		s.Peers = *peers
	}
	var err error
	s.stacks, err = regexp.Compile(*stacks)

	return s, err
}

// row is a row of the table.
type row struct {
	name, stack string
	bound       string // the stack of the row that is the least a broadcast costs; "" for none
	program     string // the program that has the stack, in the folder of package scale; "" for this one
}

// rows returns the rows of the table, bounds first.
func rows() []row {
	return []row{
		{name: "bound of native", stack: scale.NativeBound},
		{name: "bound of libp2p, TCP", stack: scale.Libp2pBound},
		{name: "gno v1.7.1", stack: cluster.Gno().Name, bound: scale.NativeBound},
		{name: "CometBFT v0.40.0", stack: "comet", bound: scale.NativeBound, program: "comet"},
		{name: "native", stack: cluster.Native().Name, bound: scale.NativeBound},
		{name: "libp2p, TCP", stack: cluster.Libp2p().Name, bound: scale.Libp2pBound},
		{name: "libp2p, QUIC", stack: cluster.Libp2pQUIC().Name},
		{name: "dual", stack: cluster.Dual().Name, bound: scale.Libp2pBound},
	}
}

// run measures and prints the table. A stack that does not get as far as asked is a row too.
func run(ctx context.Context, s settings, out, log io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "scale-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, err := fmt.Fprintf(out, "%s, %d cores (%s), Linux %s. %d peers that begin to dial within %v, each at an address of its own, in %d processes\n"+
		"on the same machine. Heap, goroutines and CPU are those of the hub alone, whole, not per peer, unless it says so.\n"+
		"A bound seals a broadcast once for each peer and writes it to the socket, and does nothing else.\n\n"+
		"| | all are in after | hub CPU for it | heap | goroutines | idle | broadcast of 200 B at the last peer, p50/worst | hub CPU a peer | by its bound |\n|---|---|---|---|---|---|---|---|---|\n",
		runtime.Version(), runtime.NumCPU(), machine.CPU(), machine.Setting("kernel/osrelease"), s.Peers, s.Within, s.Processes); err != nil {
		return err
	}
	bounds := make(map[string]time.Duration)
	for _, row := range rows() {
		if !s.stacks.MatchString(row.name) {
			continue
		}
		fmt.Fprintln(log, time.Now().Format(time.TimeOnly), row.name)
		r, err := s.measure(ctx, row, dir)
		if errors.Is(err, box.ErrUnavailable) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		line := fmt.Sprintf("| %s | failed: %v ||||||||\n", row.name, err)
		if err == nil {
			bounds[row.stack] = r.BroadcastCPU
			line = fmt.Sprintf("| %s | %.2f s | %.2f s | %.1f MiB | %d | %.2f %% of a core | %.1f/%.1f ms | %.2f µs | %s |\n",
				row.name, r.Storm.Seconds(), r.StormCPU.Seconds(), float64(r.Heap)/(1<<20), r.Goroutines, 100*r.CPU,
				ms(r.Broadcast[len(r.Broadcast)/2]), ms(r.Broadcast[len(r.Broadcast)-1]), float64(r.BroadcastCPU)/1e3, times(r.BroadcastCPU, bounds[row.bound]))
		}
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}

	return nil
}

// measure measures a row, and builds the program that it needs into dir.
func (s settings) measure(ctx context.Context, row row, dir string) (scale.Result, error) {
	s.Stack = row.stack
	if s.profile != "" {
		s.Profile = filepath.Join(s.profile, row.stack+".pprof")
	}
	if row.program != "" {
		var err error
		if s.Program, err = outside.Build(ctx, scalePath, row.program, dir); err != nil {
			return scale.Result{}, err
		}
	}

	return scale.Measure(ctx, s.Run)
}

// times returns how many times the bound a broadcast took, or nothing if that was not measured.
func times(took, bound time.Duration) string {
	if bound == 0 {
		return ""
	}

	return fmt.Sprintf("%.2f", float64(took)/float64(bound))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
