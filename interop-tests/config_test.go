package interoptests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	gnoconfig "github.com/gnolang/gno/tm2/pkg/bft/config"
	_ "github.com/gnolang/gno/tm2/pkg/db/pebbledb"
	"github.com/stretchr/testify/require"
)

// TestGnoAndOurKeys shows what gno does with keys of config.toml that it does not know, by the
// functions with which gnoland starts and `gnoland config set` writes the file. docs/dropin.md draws
// the conclusions.
func TestGnoAndOurKeys(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, "config", "config.toml")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
	cfg := gnoconfig.DefaultConfig()
	require.NoError(t, gnoconfig.WriteConfigFile(path, cfg))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	text := strings.Replace(string(data), "[p2p]\n", "[p2p]\nstack = \"dual\"\nquic = 7\n", 1)
	require.NotEqual(t, string(data), text)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))

	cfg, err = gnoconfig.LoadConfig(home)
	require.NoError(t, err, "it passes over them, whatever their values")
	require.Equal(t, home, cfg.P2P.RootDir, "the drop-in finds the files")

	require.NoError(t, gnoconfig.WriteConfigFile(path, cfg))
	data, err = os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(data), "stack =", "config set of another key drops them")
}
