package main

import "slices"

// measurement is one case of ours with its checks.
type measurement struct {
	name   string
	ours   source
	steady bool // varies little between runs, so that a third of the rounds is enough
	checks []check
}

// check is a target for a metric of ours, or for its ratio to the metric of a reference. At
// most one of atLeast and atMost is set. Without either, the value is only reported.
type check struct {
	metric  string
	against *reference // nil: the target is for the metric itself
	atLeast float64
	atMost  float64
}

// reference is a metric to compare with.
type reference struct {
	label string
	source
	metric string
}

// sources returns every source of the measurement once, ours first.
func (m measurement) sources() []source {
	sources := []source{m.ours}
	for _, c := range m.checks {
		if c.against != nil && !slices.Contains(sources, c.against.source) {
			sources = append(sources, c.against.source)
		}
	}

	return sources
}

// used returns the names of the programs that the measurements need.
func used(measurements []measurement) []string {
	var names []string
	for _, m := range measurements {
		for _, s := range m.sources() {
			if !slices.Contains(names, s.program) {
				names = append(names, s.program)
			}
		}
	}

	return names
}

// bounded reports whether the check has a target.
func (c check) bounded() bool { return c.atLeast > 0 || c.atMost > 0 }

// met reports whether a value is within the bound.
func (c check) met(value float64) bool {
	if c.atLeast > 0 {
		return value >= c.atLeast
	}

	return value <= c.atMost
}
