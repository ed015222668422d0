package gnoland

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const page = "../../docs/gnoland.md"

// blocks returns the blocks of shell commands of the page.
func blocks(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for i, part := range strings.Split(string(text), "```") {
		if commands, ok := strings.CutPrefix(part, "sh\n"); ok && i%2 == 1 {
			all = append(all, commands)
		}
	}

	return all
}

// TestPageHasCommands checks without programs what TestPage runs.
func TestPageHasCommands(t *testing.T) {
	require.Len(t, blocks(t), 2)
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "    go run ./dropin/cmd/gnobuild -o gnoland ", "as buildPrograms does")
}

// TestPage runs the commands of the page: the first block chooses the stack, the second one
// looks at the node.
func TestPage(t *testing.T) {
	net := newNetwork(t, fast)
	n := net.newNode(t, "stock")
	net.makeGenesis(t, n)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(*bin, ours), filepath.Join(dir, "gnoland")))
	require.NoError(t, os.Symlink(n.home, filepath.Join(dir, "gnoland-data")))
	n.log = filepath.Join(dir, "gnoland.log")
	shell := func(commands string) string {
		cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", strings.ReplaceAll(commands, "26657", strconv.Itoa(n.rpc)))
		cmd.Dir, cmd.Env = dir, append(append(os.Environ(), net.env...), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		text, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", text)

		return string(text)
	}
	commands := blocks(t)
	require.Contains(t, shell(commands[0]), `"dual"`)
	n.start(t, net.env, ours, "start", "-data-dir", n.home, "-genesis", net.genesis, "-chainid", chainID, "-skip-genesis-sig-verification")
	n.waitHeight(t, 2)
	shown := shell(commands[1])
	require.Contains(t, shown, "dual (config.toml)")
	require.Contains(t, shown, "native-first (config.toml)")
	require.Contains(t, shown, `"n_peers": "0"`)
	n.stop(t)
}
