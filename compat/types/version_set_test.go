package types_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestVersionSetGetSetSort(t *testing.T) {
	var vs types.VersionSet

	vs.Set(types.VersionInfo{Name: "p2p", Version: "v1.0.0"})
	vs.Set(types.VersionInfo{Name: "abci", Version: "v1.0.0"})
	vs.Set(types.VersionInfo{Name: "p2p", Version: "v2.0.0"})
	require.Equal(t, types.VersionSet{{Name: "abci", Version: "v1.0.0"}, {Name: "p2p", Version: "v2.0.0"}}, vs)

	vs = append(vs, types.VersionInfo{Name: "abci", Version: "v3.0.0"})
	vs.Sort()
	require.Equal(t, "v1.0.0 v3.0.0 v2.0.0", vs[0].Version+" "+vs[1].Version+" "+vs[2].Version)

	got, ok := vs.Get("abci")
	require.True(t, ok)
	require.Equal(t, "v3.0.0", got.Version, "the last entry of a name counts")

	_, ok = vs.Get("bft")
	require.False(t, ok)
}

func TestVersionSetCompatibleWith(t *testing.T) {
	one := func(version string, optional bool) types.VersionSet {
		return types.VersionSet{{Name: "p2p", Version: version, Optional: optional}}
	}

	for name, c := range map[string]struct {
		ours, theirs types.VersionSet
		common       types.VersionSet
		err          string
	}{
		"both empty":          {nil, nil, nil, ""},
		"lower minor":         {one("v1.4.2", false), one("v1.3.9", true), one("v1.3", false), ""},
		"lower minor, ours":   {one("v1.3.2", true), one("v1.10.0", true), one("v1.3", true), ""},
		"optional for one":    {one("v1.3.2", true), one("v1.3.0", false), one("v1.3", false), ""},
		"prerelease":          {one("v1.0.0-rc.0", false), one("v1.0.0", false), one("v1.0", false), ""},
		"other major":         {one("v1.0.0", false), one("v2.0.0", true), nil, `"p2p": ours "v1.0.0", theirs "v2.0.0"`},
		"optional, and major": {one("v1.0.0", true), one("v2.0.0", true), nil, `"v2.0.0"`},
		"both no semver":      {one("dev", false), one("banana", false), one("", false), ""},
		"empty and no semver": {one("", false), one("1.0.0", false), one("", false), ""},
		"one no semver":       {one("dev", false), one("v1.0.0", false), nil, `ours "dev"`},
		"ours missing":        {nil, one("v1.0.0", false), nil, `ours missing, theirs "v1.0.0"`},
		"theirs missing":      {one("v1.0.0", false), nil, nil, `ours "v1.0.0", theirs missing`},
		"missing optionals":   {one("v1.0.0", true), types.VersionSet{{Name: "x", Optional: true}}, nil, ""},
		"last of a name":      {one("v1.0.0", false), append(one("v2.0.0", false), one("v1.0.0", false)...), one("v1.0", false), ""},
	} {
		t.Run(name, func(t *testing.T) {
			common, err := c.ours.CompatibleWith(c.theirs)
			require.Equal(t, c.common, common)

			if c.err == "" {
				require.NoError(t, err)

				return
			}

			require.ErrorIs(t, err, types.ErrIncompatibleVersions)
			require.ErrorContains(t, err, c.err)
		})
	}
}

func TestVersionSetErrorIsBounded(t *testing.T) {
	var theirs types.VersionSet

	for i := range 2000 {
		theirs = append(theirs, types.VersionInfo{Name: fmt.Sprint(i), Version: strings.Repeat("\xff", 1000)})
	}

	_, err := types.VersionSet{}.CompatibleWith(theirs)
	require.ErrorIs(t, err, types.ErrIncompatibleVersions)
	require.Less(t, len(err.Error()), 10_000)
}
