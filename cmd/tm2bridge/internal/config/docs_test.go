package config

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// TestPageListsTheKeys checks that the page lists exactly the keys that have an effect, in
// the order of Marshal and with their defaults, and the keys that have none, with the
// reasons that warnings give.
func TestPageListsTheKeys(t *testing.T) {
	data, err := os.ReadFile("../../../../docs/configuration.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(data), "\n## The bridge: ")
	require.True(t, found)
	effective, idle, found := strings.Cut(section, "\n### Keys of a node that do nothing in a bridge\n")
	require.True(t, found)

	defaults := Default()
	var want [][2]string
	for _, k := range keys {
		text, err := tomlvalue.Literal(k.field(defaults))
		require.NoError(t, err)
		want = append(want, [2]string{k.section + "." + k.name, text})
	}
	require.Equal(t, want, firstCells(effective))

	want = nil
	for _, k := range idleKeys {
		want = append(want, [2]string{k.name, k.reason})
	}
	require.Equal(t, want, firstCells(idle))
}

// firstCells returns the first two cells of each table row that begins with code.
func firstCells(text string) [][2]string {
	var rows [][2]string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| `") {
			cells := strings.Split(line, "|")
			rows = append(rows, [2]string{strings.Trim(cells[1], " `"), strings.Trim(cells[2], " `")})
		}
	}

	return rows
}
