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
	code              *conform.Code
	slow              bool
	needs             func(*conform.Target) string
	play              playFunc
}

// The codes that docs/sessions.md tells for what a case does (must), or that follow from the meanings
// of §9 (should).
var (
	incompatible = &conform.Code{Number: 2, Level: conform.Should, AtBridge: 8}
	otherVersion = &conform.Code{Number: 2, Level: conform.Must}
	violates     = &conform.Code{Number: 6, Level: conform.Must}
	invalid      = &conform.Code{Number: 6, Level: conform.Should}
	forged       = &conform.Code{Number: 7, Level: conform.Must}
	otherNode    = &conform.Code{Number: 7, Level: conform.Should}
)

// Suite returns all cases.
func Suite() conform.Suite {
	var cases conform.Catalog
	rows := slices.Concat(helloRows, delegationRows, dataRows, endRows, dialedRows)
	for i, r := range rows {
		var roles []conform.Role
		if i >= len(rows)-len(dialedRows) {
			roles = []conform.Role{conform.Listening}
		}
		cases = append(cases, conform.Case{
			Section: "sessions", Name: r.name, Title: r.title, Spec: "docs/sessions.md §" + r.spec, Level: r.level, Want: r.want,
			Roles: roles, Code: r.code, Slow: r.slow, Needs: r.needs, Play: r.play,
		})
	}

	return conform.Suite{Stack: "libp2p", Cases: cases, Honest: Honest}
}
