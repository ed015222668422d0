package config_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestInit(t *testing.T) {
	home := filepath.Join(t.TempDir(), "a", "home")
	key, _, err := config.Init(home, config.Default())
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

// Init makes what is missing and keeps what is there.
func TestInitMakesWhatIsMissing(t *testing.T) {
	home := t.TempDir()
	mine := []byte("[bridge]\nmax_pairs = 3\n")
	require.NoError(t, os.WriteFile(config.Path(home), mine, 0o600))
	key, made, err := config.Init(home, config.Default())
	require.NoError(t, err)
	require.Equal(t, []string{config.NodeKeyPath(home), config.TokenPath(home)}, made)
	kept, err := os.ReadFile(config.Path(home))
	require.NoError(t, err)
	require.Equal(t, mine, kept)
	token, err := config.Token(home)
	require.NoError(t, err)

	again, made, err := config.Init(home, config.Default())
	require.NoError(t, err)
	require.Empty(t, made)
	require.Equal(t, key.ID(), again.ID())
	same, err := config.Token(home)
	require.NoError(t, err)
	require.Equal(t, token, same)
}

// A program that only asks a bridge makes no token.
func TestReadTokenMakesNothing(t *testing.T) {
	home := t.TempDir()
	_, err := config.ReadToken(home)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, config.TokenPath(home))
	require.NoFileExists(t, config.TokenPath(home))
	made, err := config.Token(home)
	require.NoError(t, err)
	read, err := config.ReadToken(home)
	require.NoError(t, err)
	require.Equal(t, made, read)
}

func TestInitNamesWhatCannotBeUsed(t *testing.T) {
	for name, path := range map[string]func(string) string{"config": config.Path, "key": config.NodeKeyPath, "token": config.TokenPath} {
		home := t.TempDir()
		require.NoError(t, os.WriteFile(path(home), []byte("mine"), 0o600))
		_, _, err := config.Init(home, config.Default())
		require.ErrorContains(t, err, path(home), name)
		kept, err := os.ReadFile(path(home))
		require.NoError(t, err)
		require.Equal(t, "mine", string(kept))
	}
}

func TestTokenOfOthersIsRefused(t *testing.T) {
	home := t.TempDir()
	token, err := config.Token(home)
	require.NoError(t, err)
	require.Len(t, token, 48)
	require.NoError(t, os.Chmod(config.TokenPath(home), 0o640))
	_, err = config.Token(home)
	require.ErrorIs(t, err, config.ErrBadToken)
	require.ErrorContains(t, err, "chmod 600")
}

func TestDefaultHome(t *testing.T) {
	t.Setenv("HOME", "/home/someone")
	t.Setenv(config.EnvironmentHome, "")
	home, err := config.DefaultHome()
	require.NoError(t, err)
	require.Equal(t, filepath.FromSlash("/home/someone/.tm2bridge"), home)
	t.Setenv(config.EnvironmentHome, "elsewhere")
	home, err = config.DefaultHome()
	require.NoError(t, err)
	require.Equal(t, "elsewhere", home)
}

func TestInitNamesAnInvalidHome(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, _, err := config.Init(file, config.Default())
	require.ErrorContains(t, err, file)
}

func TestInitRefusesABadConfig(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	cfg := config.Default()
	cfg.Bridge.MaxPairs = -1
	_, _, err := config.Init(home, cfg)
	require.ErrorContains(t, err, "[bridge].max_pairs")
	require.NoDirExists(t, home)
}
