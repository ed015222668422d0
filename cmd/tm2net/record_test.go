package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/transcript"
)

// A recording, which holds keys, is for its owner only, also where others could read a former
// one.
func TestRecordingIsForItsOwner(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode there")
	}
	recording, err := transcript.Read("../../secretconn/testdata/A_seed-to-seed.json")
	require.NoError(t, err)
	folder := t.TempDir()
	former := filepath.Join(folder, "former.json")
	require.NoError(t, os.WriteFile(former, []byte("{}"), 0o644))
	for _, path := range []string{former, filepath.Join(folder, "new.json")} {
		require.NoError(t, keep(recording, path))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
		again, err := transcript.Read(path)
		require.NoError(t, err)
		require.Equal(t, recording, again)
	}
	require.ErrorContains(t, keep(recording, filepath.Join(folder, "no folder", "x.json")), "no folder")
}
