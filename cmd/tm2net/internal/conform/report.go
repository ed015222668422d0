package conform

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is what a result means.
type Status string

// The statuses.
const (
	Conforms Status = "conforms"
	Deviates Status = "deviates"
	AsKnown  Status = "known"   // deviates as the version is known to
	Gone     Status = "gone"    // conforms, although the version is known to deviate
	Skipped  Status = "skipped" // not played
	Failed   Status = "failed"  // the situation could not be made
	Ended    Status = "ended"   // the node's process ended while the case was played, or one beside it
)

// CaseInfo is what a report says of a case.
type CaseInfo struct {
	ID      string  `json:"case"`
	Section string  `json:"section"`
	Title   string  `json:"title"`
	Spec    string  `json:"spec"`
	Level   Level   `json:"level"`
	Want    Outcome `json:"expected"`
	Code    *uint64 `json:"expected_code,omitempty"`
}

// Describe returns what a report says of a case.
func Describe(c Case) CaseInfo {
	info := CaseInfo{ID: c.ID(), Section: c.Section, Title: c.Title, Spec: c.Spec, Level: c.Level, Want: c.Want}
	if c.Code != nil {
		info.Code = &c.Code.Number
	}

	return info
}

// Expected is what a case expects, in words.
func (c CaseInfo) Expected() string {
	if c.Code == nil {
		return string(c.Want)
	}

	return fmt.Sprintf("%s with code %d", c.Want, *c.Code)
}

// Result is what came of one case.
type Result struct {
	Number string `json:"number"`
	CaseInfo
	Status Status `json:"status"`
	Seen   Seen   `json:"seen"`
	Reason string `json:"reason,omitempty"`
}

// Report is what came of a run.
type Report struct {
	Target   string         `json:"target"`
	ID       string         `json:"id"`
	Role     Role           `json:"role"`
	Duration time.Duration  `json:"duration_ns"`
	Counts   map[Status]int `json:"counts"`
	// Ended are the cases during which the node has ended; one of them is why.
	Ended   []string `json:"ended,omitempty"`
	Results []Result `json:"results"`
}

// finish sorts the results by number and counts them.
func (r *Report) finish(c Catalog, took time.Duration) {
	order := make(map[string]int, len(c))
	for i, one := range c {
		order[one.ID()] = i
	}
	slices.SortStableFunc(r.Results, func(a, b Result) int { return cmp.Compare(order[a.ID], order[b.ID]) })
	r.Duration, r.Counts = took, make(map[Status]int)
	for _, one := range r.Results {
		r.Counts[one.Status]++
	}
}

// Worst returns the gravest level at which the node deviates in a way that is not known, or "".
func (r *Report) Worst() Level {
	for _, l := range Levels() {
		if slices.ContainsFunc(r.Results, func(one Result) bool { return one.Status == Deviates && one.Level == l }) {
			return l
		}
	}

	return ""
}

// Failures returns how many situations could not be made.
func (r *Report) Failures() int { return r.Counts[Failed] }

// margin begins the lines under that of a result.
const margin = "\n          "

// Line is the result on one line, with what there is to say of it on lines of their own. Errors have several,
// and a node chooses what some of them quote: none of these looks like a result.
func (r Result) Line() string {
	var b strings.Builder
	within := func(text string) string { return strings.ReplaceAll(text, "\n", margin) }
	fmt.Fprintf(&b, "%-8s  %-6s %-6s %s: %s", r.Status, r.Number, r.Level, r.ID, r.Title)
	switch r.Status {
	case Deviates, AsKnown:
		fmt.Fprintf(&b, "%sexpected: %s (%s)%sseen: %s", margin, r.Expected(), r.Spec, margin, within(r.Seen.String()))
	case Conforms, Gone, Skipped, Failed, Ended:
	}
	if r.Reason != "" {
		b.WriteString(margin + within(r.Reason))
	}

	return b.String()
}

// Summary counts the results on one line.
func (r *Report) Summary() string {
	var parts []string
	for _, s := range []Status{Conforms, Deviates, Ended, AsKnown, Gone, Failed, Skipped} {
		if n := r.Counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}

	return fmt.Sprintf("%s, %s: %s", r.Target, r.Role, strings.Join(parts, ", "))
}
