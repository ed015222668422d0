package config_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

const page = "../../docs/configuration.md"

// formerly are the keys that TM2 had before v1.1.0.
var formerly = map[string]bool{"seed_mode": true, "dial_timeout": true}

// The page lists exactly the keys of the struct, in order, with their defaults,
// and tells those that TM2 does not have.
func TestPageListsTheKeys(t *testing.T) {
	data, err := os.ReadFile(page)
	require.NoError(t, err)
	_, section, found := strings.Cut(string(data), "\n## A node: `[p2p]`\n")
	require.True(t, found)
	section, _, found = strings.Cut(section, "\n## ")
	require.True(t, found)

	type row struct{ key, def string }
	var rows []row
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| `") {
			cells := strings.Split(line, "|")
			require.Len(t, cells, 8, line)
			rows = append(rows, row{cell(cells[1]), cell(cells[2])})
			require.Equal(t, slices.Contains(ours, cell(cells[1])) && !formerly[cell(cells[1])], cell(cells[5]) == "not in TM2", line)
		}
	}

	var want []row
	defaults := reflect.ValueOf(config.DefaultP2PConfig()).Elem()
	for i, key := range keys() {
		text, err := tomlvalue.Literal(defaults.Field(i).Addr().Interface())
		require.NoError(t, err)
		want = append(want, row{key, text})
	}
	require.Equal(t, want, rows)
}

func cell(text string) string { return strings.Trim(text, " `") }
