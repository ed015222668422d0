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
	"time"
)

// settings holds the flags.
type settings struct {
	runs           int
	window, warmup time.Duration
	only           *regexp.Regexp
}

// The settings of -quick. They show a collapse, but not a difference of 5 %.
const (
	quickRuns   = 3
	quickWindow = 300 * time.Millisecond
	quickWarmup = 150 * time.Millisecond
)

func main() {
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
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func parse(args []string) (settings, error) {
	var s settings
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.IntVar(&s.runs, "runs", 5, "rounds; in each of them every project runs every case once")
	fs.DurationVar(&s.window, "window", time.Second, "measured time of one run")
	fs.DurationVar(&s.warmup, "warmup", 300*time.Millisecond, "time before it that is not measured")
	quick := fs.Bool("quick", false, "a first look: three short rounds")
	only := fs.String("only", "", "measure only what matches this regular expression")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	if *quick {
		s.runs, s.window, s.warmup = quickRuns, quickWindow, quickWarmup
	}
	if s.runs < 1 || s.window <= 0 || s.warmup < 0 {
		return s, errors.New("runs and window must be positive")
	}
	var err error
	s.only, err = regexp.Compile(*only)

	return s, err
}

// run measures, prints the table to out and progress to log. It returns an error when a
// measurement fails. A target that is not met is no error.
func run(ctx context.Context, s settings, out, log io.Writer) (err error) {
	var selected []measurement
	for _, m := range measurements() {
		if s.only.MatchString(m.name) {
			selected = append(selected, m)
		}
	}
	if len(selected) == 0 {
		return errors.New("no measurement matches")
	}

	fmt.Fprintln(log, "building")
	p, err := build(ctx, used(selected))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.remove()) }()

	execute := func(ctx context.Context, c source) (metrics, error) {
		return p.execute(ctx, c, s.window, s.warmup)
	}
	results := make([]result, 0, len(selected))
	for i, m := range selected {
		fmt.Fprintf(log, "%d/%d %s\n", i+1, len(selected), m.name)
		results = append(results, collect(ctx, m, s.runs, execute))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := writeReport(out, s, results); err != nil {
		return err
	}

	return failures(results)
}
