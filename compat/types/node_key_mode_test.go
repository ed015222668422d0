//go:build unix

package types_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestNodeKeyOfOthersIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node_key.json")
	key, err := types.GeneratePersistedNodeKey(path)
	require.NoError(t, err)

	for mode, private := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o700: true,
		0o640: false, 0o604: false, 0o620: false, 0o601: false, 0o644: false,
	} {
		require.NoError(t, os.Chmod(path, mode))
		loaded, err := types.LoadOrMakeNodeKey(path)
		if private {
			require.NoError(t, err, "%#o", mode)
			require.Equal(t, key, loaded)

			continue
		}
		require.ErrorIs(t, err, types.ErrExposedNodeKey)
		require.ErrorContains(t, err, fmt.Sprintf("mode is %#o: run chmod 600 %q", mode, path))
	}

	require.NoError(t, os.Chmod(path, 0o600))
	again, err := types.LoadNodeKey(path)
	require.NoError(t, err)
	require.Equal(t, key, again, "a refused file is left as it was")
}

// TestNodeKeyOfAnotherUserIsRead checks what a container's runtime mounts: a file of root
// that the group of the node may read.
func TestNodeKeyOfAnotherUserIsRead(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "node_key.json")
	key, err := types.GeneratePersistedNodeKey(path)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o440))
	require.NoError(t, os.Chown(path, 1, -1))

	loaded, err := types.LoadNodeKey(path)
	require.NoError(t, err)
	require.Equal(t, key, loaded)
}
