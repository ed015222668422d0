package crawl

import (
	"cmp"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
)

// Schema is the version of Summary in JSON.
const Schema = 1

// maxKinds is how many versions, networks and dialects a summary counts apart. Strangers
// choose them, so the rarest are counted together.
const maxKinds = 20

// Others is the name under which a summary counts the rarest kinds together.
const Others = "(others)"

// Report is what a crawl has found.
type Report struct {
	Summary
	// Nodes are those that answered, and then those that others tell of.
	Nodes []*Node
}

// Summary counts nodes. All but Heard counts those that have answered.
type Summary struct {
	Schema int `json:"schema"`
	// Time is when the crawl began.
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"` // how long it took
	Network string    `json:"network"`
	// Complete tells that nobody was left to visit, and that no limit has kept a node or an address out.
	Complete  bool `json:"complete"`
	Visited   int  `json:"visited"` // addresses
	Reachable int  `json:"reachable"`
	Heard     int  `json:"heard"`
	// Native, Both and Libp2p count the nodes of Network by their stacks, and bridges apart.
	Native  int `json:"native"`
	Both    int `json:"both"`
	Libp2p  int `json:"libp2p"`
	Bridges int `json:"bridges"`
	QUIC    int `json:"quic"`
	// Versions and Dialects count the nodes of Network, Networks all.
	Versions map[string]int `json:"versions"`
	Dialects map[string]int `json:"dialects"`
	Networks map[string]int `json:"networks"`
}

func (c *crawl) report(begin time.Time, complete bool) *Report {
	r := &Report{Nodes: sorted(c.nodes)}
	r.Summary = Summary{
		Schema: Schema, Time: begin.UTC().Truncate(time.Second), Seconds: time.Since(begin).Round(time.Millisecond).Seconds(),
		Network: c.network, Complete: complete, Visited: c.counts.Visited,
		Versions: make(map[string]int), Dialects: make(map[string]int), Networks: make(map[string]int),
	}
	for _, n := range r.Nodes {
		r.count(n)
	}
	for _, kinds := range []*map[string]int{&r.Versions, &r.Dialects, &r.Networks} {
		*kinds = commonest(*kinds)
	}

	return r
}

func (s *Summary) count(n *Node) {
	if n.State != Reachable {
		s.Heard++

		return
	}
	s.Reachable++
	if n.Bridge != "" {
		s.Bridges++

		return
	}
	s.Networks[cmp.Or(n.Network, "(not told)")]++
	if n.Network != s.Network {
		return
	}
	native, libp2p := slices.Contains(n.Stacks, probe.StackNative), slices.Contains(n.Stacks, probe.StackLibp2p)
	switch {
	case native && libp2p:
		s.Both++
	case native:
		s.Native++
	default:
		s.Libp2p++
	}
	if n.QUIC != nil && *n.QUIC {
		s.QUIC++
	}
	s.Versions[cmp.Or(n.Version, "(not told)")]++
	if n.Dialect != "" {
		s.Dialects[n.Dialect]++
	}
}

// commonest counts all but the most frequent kinds together.
func commonest(kinds map[string]int) map[string]int {
	names := ByCount(kinds)
	if len(names) <= maxKinds {
		return kinds
	}
	kept := make(map[string]int, maxKinds+1)
	for i, name := range names {
		if i >= maxKinds {
			name = Others
		}
		kept[name] += kinds[names[i]]
	}

	return kept
}

// ByCount returns the names in the order of their counts, the greatest first.
func ByCount(kinds map[string]int) []string {
	names := make([]string, 0, len(kinds))
	for name := range kinds {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(kinds[b]-kinds[a], cmp.Compare(a, b))
	})

	return names
}
