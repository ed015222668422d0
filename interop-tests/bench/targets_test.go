package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMeasurements(t *testing.T) {
	names := make(map[string]bool)
	for _, m := range measurements() {
		require.False(t, names[m.name], "%q is there twice", m.name)
		names[m.name] = true
		require.NotEmpty(t, m.checks, m.name)
		for _, c := range m.checks {
			require.False(t, c.atLeast > 0 && c.atMost > 0, "%s: %s has two bounds", m.name, c.metric)
			require.True(t, c.bounded() || c.against != nil, "%s: %s is compared with nothing", m.name, c.metric)
			require.Contains(t, metricTexts, c.metric, m.name)
		}
		for _, s := range m.sources() {
			stack, name, ok := strings.Cut(s.name, "/")
			require.True(t, ok, s.name)
			require.NotEmpty(t, stack)
			require.NotEmpty(t, name)
		}
	}
}

func TestProgramsAreModules(t *testing.T) {
	programs := used(measurements())
	require.ElementsMatch(t, []string{"tm2", "gno", "comet", "raw"}, programs)
	for _, p := range programs {
		raw, err := os.ReadFile(filepath.Join(p, "go.mod"))
		require.NoError(t, err)
		require.Contains(t, string(raw), packagePath+"/harness => ../harness")
	}
}

// TestVersions checks that the labels of the table name the versions in the programs' go.mod.
func TestVersions(t *testing.T) {
	for program, module := range map[string]string{
		"gno":   "github.com/gnolang/gno v1.7.1",
		"comet": "github.com/cometbft/cometbft v0.40.0",
	} {
		raw, err := os.ReadFile(filepath.Join(program, "go.mod"))
		require.NoError(t, err)
		require.Contains(t, string(raw), module)
	}
}
