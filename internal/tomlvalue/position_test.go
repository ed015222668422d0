package tomlvalue_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

func TestLocate(t *testing.T) {
	document := []byte("moniker = \"x\"\n[p2p]\n\n  laddr = 1\nladder = 2\nnested.deep = 3\n[ bridge ]\nx = { y = 1 }\n")
	for key, want := range map[string]string{
		"[p2p].laddr":  "line 4, column 3: [p2p].laddr = 1: bad",
		"[p2p].ladder": "line 5, column 1: [p2p].ladder = 1: bad",
		"[p2p].nested": "line 6, column 1: [p2p].nested = 1: bad",
		"bridge":       "line 7, column 3: bridge = 1: bad",
		"moniker":      "line 1, column 1: moniker = 1: bad",
		"[p2p].absent": "[p2p].absent = 1: bad",
		"[bridge].x":   "line 8, column 1: [bridge].x = 1: bad",
	} {
		err := tomlvalue.Locate(document, tomlvalue.Wrong(key, 1, "bad"))
		require.EqualError(t, err, want)
		var field *tomlvalue.FieldError
		require.ErrorAs(t, err, &field)
	}
	other := errors.New("other")
	require.Equal(t, other, tomlvalue.Locate(document, other))
	require.NotPanics(t, func() { _ = tomlvalue.Locate([]byte("[p2p\x00 = ="), tomlvalue.Wrong("[p2p].x", 1, "bad")) })
}

func TestLoadTellsThePosition(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(path, []byte("\n[p2p]\nseeds = 1"), 0o600))
	_, _, err := tomlvalue.Load(path, func([]byte) (*int, []string, error) { return nil, nil, tomlvalue.Wrong("[p2p].seeds", 1, "bad") })
	require.EqualError(t, err, path+": line 3, column 1: [p2p].seeds = 1: bad")
}

func TestClosest(t *testing.T) {
	names := []string{"laddr", "libp2p_laddr", "persistent_peers", "private_peer_ids", "pex", "max_pairs"}
	for mistyped, want := range map[string]string{
		"ladder": "laddr", "Laddr": "laddr", "persistant_peers": "persistent_peers", "max_pair": "max_pairs", "maxpairs": "max_pairs",
		"px": "pex", "private_peers": "private_peer_ids", "something_else": "", "": "", "mxa_pairs": "max_pairs",
	} {
		require.Equal(t, want, tomlvalue.Closest(mistyped, names), mistyped)
	}
}
