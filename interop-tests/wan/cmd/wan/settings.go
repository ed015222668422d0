//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
)

// settings holds what is measured.
type settings struct {
	full bool
	only *regexp.Regexp // sections
	// stacks selects rows by their name.
	stacks *regexp.Regexp
	svg    string // path of the plot; "" for none

	congestion string
	uplink     float64 // Mbit/s
	queue      int     // bytes; 0 is the default
	burst      float64 // mean losses in a row
	jitter     time.Duration
	roundTrips []time.Duration
	losses     []float64 // shares, one way
	seeds      int
	sizes      []int // of blocks, in bytes

	warmup, during time.Duration // of a pair
	patience       time.Duration // for what is on its way when sending has ended
	consensus      time.Duration // measured time of a chain
	cut            time.Duration
	history        int64 // blocks that a joiner gets
	tries          int   // how often a void run is repeated, and once
}

// short returns the settings of the short form: one network, where everything is measured once.
func short() settings {
	return settings{
		congestion: box.DefaultCongestion, uplink: 100, roundTrips: []time.Duration{20 * time.Millisecond}, losses: []float64{.005},
		seeds: 1, sizes: []int{0}, warmup: 200 * time.Millisecond, during: time.Second, patience: time.Minute,
		consensus: 6 * time.Second, cut: time.Second, history: 30, tries: 1,
	}
}

// full returns the settings of the full form.
func full() settings {
	return settings{
		full: true, congestion: box.DefaultCongestion, uplink: 100,
		roundTrips: []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond},
		losses:     []float64{0, .005, .02}, seeds: 3, sizes: []int{0, 100 << 10, 1 << 20},
		warmup: 3 * time.Second, during: 20 * time.Second, patience: 2 * time.Minute,
		consensus: time.Minute, cut: 30 * time.Second, history: 400, tries: 3,
	}
}

func parse(args []string) (settings, error) {
	var given settings
	fs := flag.NewFlagSet("wan", flag.ContinueOnError)
	isFull := fs.Bool("full", false, "the full form: several networks, 20 s a run, three seeds; it takes hours")
	only := fs.String("only", "", "regular expression on the sections: proof, pairs, wire, consensus, sync, cut")
	stacks := fs.String("stacks", "", "regular expression on the names of the rows")
	fs.StringVar(&given.svg, "svg", "", "write the plot to this file")
	fs.StringVar(&given.congestion, "cc", "", "congestion control of TCP (default cubic)")
	fs.Float64Var(&given.uplink, "uplink", 0, "uplink of every place in Mbit/s (default 100)")
	fs.IntVar(&given.queue, "queue", 0, "queue of every uplink in bytes (default 100 ms of its rate)")
	fs.Float64Var(&given.burst, "burst", 0, "mean number of packets that are lost in a row (default: each on its own)")
	fs.DurationVar(&given.jitter, "jitter", 0, "most that a packet takes longer, one way")
	roundTrips := fs.String("rtt", "", "round trips of pairs, such as 20ms,100ms,200ms")
	losses := fs.String("loss", "", "losses one way in percent, such as 0,0.5,2")
	sizes := fs.String("blocks", "", "sizes of blocks in KiB, such as 0,100,1024")
	fs.IntVar(&given.seeds, "seeds", 0, "runs of each cell, each with another seed (default 1, full 3)")
	fs.DurationVar(&given.during, "during", 0, "measured time of a pair (default 1s, full 20s)")
	fs.DurationVar(&given.consensus, "consensus", 0, "measured time of a chain (default 6s, full 1m)")
	if err := fs.Parse(args); err != nil {
		return given, err
	}
	if fs.NArg() > 0 {
		return given, fmt.Errorf("it takes flags only, not %q", fs.Args())
	}
	s := short()
	if *isFull {
		s = full()
	}
	s.take(given)
	var errs [5]error
	s.only, errs[0] = regexp.Compile(*only)
	s.stacks, errs[1] = regexp.Compile(*stacks)
	s.roundTrips, errs[2] = list(*roundTrips, s.roundTrips, time.ParseDuration)
	s.losses, errs[3] = list(*losses, s.losses, func(v string) (float64, error) {
		percent, err := strconv.ParseFloat(v, 64)

		return percent / 100, err
	})
	s.sizes, errs[4] = list(*sizes, s.sizes, func(v string) (int, error) {
		kib, err := strconv.Atoi(v)

		return kib << 10, err
	})
	if s.seeds < 1 || s.during <= 0 || s.consensus <= 0 {
		return s, errors.New("-seeds, -during and -consensus must be positive")
	}

	return s, errors.Join(errs[:]...)
}

// take overrides what is given.
func (s *settings) take(given settings) {
	s.svg, s.queue, s.burst, s.jitter = given.svg, given.queue, given.burst, given.jitter
	if given.congestion != "" {
		s.congestion = given.congestion
	}
	if given.uplink != 0 {
		s.uplink = given.uplink
	}
	if given.seeds != 0 {
		s.seeds = given.seeds
	}
	if given.during != 0 {
		s.during = given.during
	}
	if given.consensus != 0 {
		s.consensus = given.consensus
	}
}

// list parses a comma-separated list; an empty one is the default.
func list[T any](text string, otherwise []T, parse func(string) (T, error)) ([]T, error) {
	if text == "" {
		return otherwise, nil
	}
	var values []T
	for part := range strings.SplitSeq(text, ",") {
		v, err := parse(part)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		values = append(values, v)
	}

	return values, nil
}

// path returns the path between places with a round trip.
func (s settings) path(roundTrip time.Duration, loss float64) box.Path {
	return box.Path{Delay: roundTrip / 2, Jitter: s.jitter, Loss: loss, Burst: s.burst}
}

// link returns the uplink of every place.
func (s settings) link() box.Uplink { return box.Uplink{Rate: s.uplink * 1e6, Queue: s.queue} }

// box returns the network of two places.
func (s settings) box(roundTrip time.Duration, loss float64, seed int) box.Config {
	return box.Config{
		Path: box.Even(s.path(roundTrip, loss)), Uplink: box.Everywhere(s.link()),
		Congestion: s.congestion, Seed: uint64(seed),
	}
}
