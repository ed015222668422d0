package sessioncases

import (
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
)

// row is one line of a table.
type row struct {
	name, title, spec string
	level             conform.Level
	want              conform.Outcome
	slow              bool
	needs             func(*conform.Target) string
	play              playFunc
}

// Suite returns all cases.
func Suite() conform.Suite {
	var cases conform.Catalog
	for _, r := range slices.Concat(helloRows, delegationRows, dataRows, endRows) {
		cases = append(cases, conform.Case{
			Section: "sessions", Name: r.name, Title: r.title, Spec: "docs/sessions.md §" + r.spec, Level: r.level, Want: r.want,
			Slow: r.slow, Needs: r.needs, Play: r.play,
		})
	}

	return conform.Suite{Stack: "libp2p", Cases: cases, Honest: Honest}
}
