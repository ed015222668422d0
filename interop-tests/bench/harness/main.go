package harness

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// The commands with which a process starts child processes of the same program.
const (
	commandLeaf = "leaf"
	commandHub  = "hub"
)

// Main runs the case STACK/CASE of the command line, prints its metrics and exits. The keys
// of projects are the names of the stacks. Without an argument it lists the cases.
func Main(projects map[string]Project) {
	if err := run(projects, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(projects map[string]Project, args []string, out io.Writer) error {
	r := &Run{metrics: make(map[string]float64)}
	fs := flag.NewFlagSet(os.Args[0], flag.ContinueOnError)
	fs.DurationVar(&r.Window, "window", time.Second, "measured time")
	fs.DurationVar(&r.Warmup, "warmup", 300*time.Millisecond, "time before that is not measured")
	cpuProfile := fs.String("cpuprofile", "", "write a CPU profile to this file")
	memProfile := fs.String("memprofile", "", "write a profile of all allocations to this file")
	if err := fs.Parse(args); err != nil {
		return err
	}

	switch fs.Arg(0) {
	case "":
		return list(projects, out)
	case commandLeaf:
		return runLeaf(projects, fs.Arg(1))
	case commandHub:
		return runHub(projects, fs.Arg(1), out)
	}

	bench, err := find(projects, fs.Arg(0))
	if err != nil {
		return err
	}
	if err := measure(bench, r, *cpuProfile, *memProfile); err != nil {
		return fmt.Errorf("%s: %w", fs.Arg(0), err)
	}

	return json.NewEncoder(out).Encode(r.metrics)
}

// measure runs the case. It writes a profile for each path that is not empty.
func measure(bench Bench, r *Run, cpuProfile, memProfile string) error {
	if memProfile != "" {
		runtime.MemProfileRate = 4096
	}
	stop, err := startProfile(cpuProfile)
	if err != nil {
		return err
	}
	others := watchOthers()
	err = bench(r)
	r.Add("foreign_cpu", others.cores())

	return errors.Join(err, stop(), writeAllocs(memProfile))
}

func find(projects map[string]Project, name string) (Bench, error) {
	stack, kase, _ := strings.Cut(name, "/")
	p, ok := projects[stack]
	if !ok {
		return nil, fmt.Errorf("no stack %q", stack)
	}
	bench, ok := p.cases(stack)[kase]
	if !ok {
		return nil, fmt.Errorf("stack %q has no case %q", stack, kase)
	}

	return bench, nil
}

func list(projects map[string]Project, out io.Writer) error {
	for _, stack := range slices.Sorted(maps.Keys(projects)) {
		for _, name := range slices.Sorted(maps.Keys(projects[stack].cases(stack))) {
			if _, err := fmt.Fprintf(out, "%s/%s\n", stack, name); err != nil {
				return err
			}
		}
	}

	return nil
}

// startProfile starts a CPU profile unless path is empty. stop ends it.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}

	return func() error {
		pprof.StopCPUProfile()

		return f.Close()
	}, nil
}

func writeAllocs(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}

	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}
