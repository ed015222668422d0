package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/machine"
)

const tableHead = `| measurement | metric | tm2 | against | theirs | ratio | min..max | target | met |
|---|---|---:|---|---:|---:|---:|---:|---|
`

// verdict is the result of a check.
type verdict string

const (
	yes         verdict = "yes"
	no          verdict = "**no**"
	notMeasured verdict = "not measured"
	noTarget    verdict = ""
)

// writeReport prints the table, and the machine and settings of the run.
func writeReport(out io.Writer, s settings, results []result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s/%s, %d cores (%s); %d rounds of %v after %v\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), machine.CPU(), s.runs, s.window, s.warmup)

	b.WriteString(tableHead)
	counts := make(map[verdict]int)
	for _, r := range results {
		for i, c := range r.checks {
			name := r.name
			if i > 0 {
				name = ""
			}
			line, v := r.row(c)
			counts[v]++
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, line, v)
		}
	}

	fmt.Fprintf(&b, "\n%d targets met, %d not met, %d not measured. A ratio is the median of the rounds' ratios.\n",
		counts[yes], counts[no], counts[notMeasured])
	if foreign := foreignCores(results); len(foreign) > 0 {
		fmt.Fprintf(&b, "Other processes used %.2f cores in the median run, %.2f at most.\n",
			median(foreign), slices.Max(foreign))
	}
	_, err := io.WriteString(out, b.String())

	return err
}

// row returns the cells of a check between the measurement's name and the verdict, and the
// verdict.
func (r result) row(c check) (string, verdict) {
	m := metricOf(c.metric)
	ours := r.values(r.ours, c.metric)
	if c.against == nil {
		if len(ours) == 0 {
			return cells(m.title, "", "", "", "", "", m.bound(c)), notMeasured
		}
		spread := number(slices.Min(ours)) + ".." + number(slices.Max(ours))

		return cells(m.title, m.value(ours), "", "", "", spread, m.bound(c)), c.verdict(median(ours))
	}

	theirs := r.values(c.against.source, c.against.metric)
	ratios := r.ratios(r.ours, c.metric, c.against.source, c.against.metric)
	if len(ratios) == 0 {
		return cells(m.title, m.value(ours), c.against.label, m.value(theirs), "", "", c.ratioBound()), notMeasured
	}
	spread := c.ratio(slices.Min(ratios)) + ".." + c.ratio(slices.Max(ratios))

	return cells(m.title, m.value(ours), c.against.label, m.value(theirs),
		c.ratio(median(ratios)), spread, c.ratioBound()), c.verdict(median(ratios))
}

func cells(values ...string) string { return strings.Join(values, " | ") }

func (c check) verdict(value float64) verdict {
	switch {
	case !c.bounded():
		return noTarget
	case c.met(value):
		return yes
	default:
		return no
	}
}

func foreignCores(results []result) []float64 {
	var cores []float64
	for _, r := range results {
		for _, s := range r.sources() {
			cores = append(cores, r.values(s, foreignCPU)...)
		}
	}

	return cores
}
