package legacy

import (
	"debug/buildinfo"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProgramsAreOfTheirVersions checks that each program is built with the version of gno in
// its name, whatever version the shared modules require.
func TestProgramsAreOfTheirVersions(t *testing.T) {
	require.Len(t, binaries, len(Versions()))
	for version, path := range binaries {
		info, err := buildinfo.ReadFile(path)
		require.NoError(t, err)
		var used []string
		for _, dep := range info.Deps {
			if dep.Path == "github.com/gnolang/gno" {
				used = append(used, dep.Version)
			}
		}
		require.Equal(t, []string{version}, used)
		require.False(t, slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" }))
	}
}
