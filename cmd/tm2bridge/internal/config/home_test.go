package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestInit(t *testing.T) {
	home := filepath.Join(t.TempDir(), "a", "home")
	key, err := config.Init(home, config.Default())
	require.NoError(t, err)

	cfg, warnings, err := config.Load(config.Path(home))
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, config.Default(), cfg)

	loaded, err := types.LoadNodeKey(config.NodeKeyPath(home))
	require.NoError(t, err)
	require.Equal(t, key.ID(), loaded.ID())
	stat, err := os.Stat(config.NodeKeyPath(home))
	require.NoError(t, err)
	require.Zero(t, stat.Mode().Perm()&0o077, "others can read the key")
}

func TestInitOverwritesNothing(t *testing.T) {
	for _, present := range []string{config.FileName, config.NodeKeyFileName} {
		t.Run(present, func(t *testing.T) {
			home := t.TempDir()
			path := filepath.Join(home, present)
			require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))

			_, err := config.Init(home, config.Default())
			require.ErrorIs(t, err, config.ErrExists)
			require.ErrorContains(t, err, path)

			kept, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, "mine", string(kept))
			entries, err := os.ReadDir(home)
			require.NoError(t, err)
			require.Len(t, entries, 1, "something was written beside the file")
		})
	}
}

func TestInitNamesAnInvalidHome(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := config.Init(file, config.Default())
	require.ErrorContains(t, err, file)
}

func TestInitRefusesABadConfig(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	cfg := config.Default()
	cfg.Bridge.MaxPairs = -1
	_, err := config.Init(home, cfg)
	require.ErrorContains(t, err, "[bridge].max_pairs")
	require.NoDirExists(t, home)
}
