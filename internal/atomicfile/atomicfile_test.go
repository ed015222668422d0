package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func requireFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, content, string(got))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, mode, info.Mode())
	names, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, names, 1, "nothing else is left")
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, CheckWritable(path))
	require.NoFileExists(t, path)
	require.NoError(t, Write(path, []byte("old"), 0o644))
	requireFile(t, path, "old", 0o644)
	require.NoError(t, os.WriteFile(path+tempSuffix, []byte("left by a crash"), 0o644))
	require.NoError(t, Write(path, []byte("new"), 0o600))
	requireFile(t, path, "new", 0o600)
}

func TestFailedWriteLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "folder"), 0o700))
	require.Error(t, Write(path, []byte("new"), 0o600), "a folder is not replaced")
	require.NoFileExists(t, path+tempSuffix)
	require.Error(t, Write(filepath.Join(path, "none", "file"), nil, 0o600))
	require.Error(t, CheckWritable(filepath.Join(path, "none", "file")))
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, Create(path, []byte("first"), 0o640))
	require.ErrorIs(t, Create(path, []byte("second"), 0o640), fs.ErrExist)
	requireFile(t, path, "first", 0o640)
}
