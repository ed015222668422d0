package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/demo"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestMain(m *testing.M) {
	demo.Timeouts.Ready, demo.Timeouts.Drain, demo.Timeouts.Recover = testTimeout, testTimeout, testTimeout
	goleak.VerifyTestMain(m)
}

// home makes the default home of the test an empty directory, and returns it.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(config.EnvironmentHome, dir)

	return dir
}

// call runs a command line until it ends.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	status = cli.Execute(t.Context(), newRoot(), args, &out, &errOut)

	return status, out.String(), errOut.String()
}

func TestUsageErrors(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"no-such-command"}, `there is no command "no-such-command"`},
		{[]string{"version", "extra"}, `unexpected argument "extra"`},
		{[]string{"version", "--no-such-flag"}, "--no-such-flag"},
		{[]string{"demo", "--nodes", "0"}, "--nodes 0"},
		{[]string{"demo", "--nodes", "many"}, `"many"`},
		{[]string{"demo", "--duration", "-1s"}, "--duration -1s"},
		{[]string{"demo", "--log-level", "loud"}, `--log-level "loud"`},
		{[]string{"demo", "--kill", "--http", "127.0.0.1:0"}, "--kill has no use for --http"},
		{[]string{"start", "--temporary", "--home", "a"}, "--home or --temporary"},
		{[]string{"strat"}, `there is no command "strat"; did you mean start?`},
		{[]string{"start", "--log-level", "loud"}, "--log-level"},
		{[]string{"check", "--timeout", "0s"}, "--timeout 0s"},
		{[]string{"id", "--of", "nobody"}, `--of "nobody"`},
		{[]string{"connect", "libp2p"}, "ADDRESS is missing"},
		{[]string{"log"}, "LEVEL is missing"},
		{[]string{"id", "--home", "a", "--key", "b"}, "--home or --key"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			home(t)
			status, stdout, stderr := call(t, tc.args...)
			require.Equal(t, exitUsage, status)
			require.Empty(t, stdout)
			require.Contains(t, stderr, tc.want)
			require.Contains(t, stderr, "Usage:")
		})
	}
}

// TestRuntimeErrors checks that an error other than a mistake on the command line names
// what failed and shows no usage.
func TestRuntimeErrors(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	bad := filepath.Join(dir, "bad")
	require.NoError(t, os.Mkdir(bad, 0o700))
	require.NoError(t, os.WriteFile(config.Path(bad), []byte("[bridge]\nmax_pairs = -1"), 0o600))
	keyless := filepath.Join(dir, "keyless")
	require.NoError(t, os.Mkdir(keyless, 0o700))
	require.NoError(t, os.WriteFile(config.Path(keyless), nil, 0o600))

	for _, tc := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{"start", "--home", missing}, exitConfig, []string{config.Path(missing), "tm2bridge init --home"}},
		{[]string{"start", "--home", bad}, exitConfig, []string{config.Path(bad), "line 2, column 1", "[bridge].max_pairs = -1"}},
		{[]string{"start", "--home", keyless, "--p2p.laddr", "x"}, exitConfig, []string{"--p2p.laddr: [p2p].laddr"}},
		{[]string{"start", "--home", keyless}, exitConfig, []string{config.NodeKeyPath(keyless), "tm2bridge init --home"}},
		{[]string{"id", "--home", missing}, exitConfig, []string{config.Path(missing)}},
		{[]string{"id", "--key", missing}, exitConfig, []string{missing}},
		{[]string{"id", "--key", config.Path(bad)}, exitConfig, []string{config.Path(bad)}},
		{[]string{"init", "--home", bad}, exitConfig, []string{config.Path(bad), "[bridge].max_pairs"}},
		{[]string{"status", "--home", missing}, exitConfig, []string{config.Path(missing)}},
		{[]string{"status", "--home", keyless, "--url", "http://127.0.0.1:1"}, exitFailed, []string{"does not answer"}},
		{[]string{"block", "--home", keyless, "--url", "http://127.0.0.1:1", "g1"}, exitConfig, []string{config.TokenPath(keyless), "--home"}},
		{[]string{"probe", "127.0.0.1:1", "--timeout", "1s"}, exitFailed, []string{"tm2net probe"}},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			status, stdout, stderr := call(t, tc.args...)
			require.Equal(t, tc.status, status)
			require.Empty(t, stdout)
			require.NotContains(t, stderr, "Usage:")
			require.Regexp(t, `tm2bridge: \S`, stderr)
			for _, want := range tc.want {
				require.Contains(t, stderr, want)
			}
		})
	}
}

func TestExposedKeyIsRefused(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	_, _, err := config.Init(home, config.Default())
	require.NoError(t, err)
	require.NoError(t, os.Chmod(config.NodeKeyPath(home), 0o640))

	_, err = loadKey(home)
	require.ErrorIs(t, err, types.ErrExposedNodeKey)
	for _, command := range []string{"id", "start"} {
		status, _, stderr := call(t, command, "--home", home)
		require.Equal(t, exitConfig, status)
		require.Contains(t, stderr, "chmod 600")
	}
}

func TestVersion(t *testing.T) {
	status, stdout, stderr := call(t, "version")
	require.Zero(t, status)
	require.Empty(t, stderr)
	require.Regexp(t, `^tm2bridge \S.* go1\.\S+ \w+/\w+\n$`, stdout)
	status, same, _ := call(t, "--version")
	require.Zero(t, status)
	require.Equal(t, stdout, same)
}

func TestCompletion(t *testing.T) {
	status, stdout, stderr := call(t, "completion", "bash")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "tm2bridge")
	status, stdout, _ = call(t, "__complete", "st")
	require.Zero(t, status)
	require.Contains(t, stdout, "start")
	require.Contains(t, stdout, "status")
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := call(t)
	require.Zero(t, status)
	require.Empty(t, stderr)
	for _, name := range []string{"demo", "init", "check", "start", "status", "connect", "forget", "block", "unblock", "log", "id", "version", "completion"} {
		require.Contains(t, stdout, "\n  "+name+" ")
	}
}

func TestCancelledCommandEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	require.Equal(t, 1, cli.Execute(ctx, newRoot(), []string{"demo", "--nodes", "1"}, &out, &errOut))
	require.Contains(t, errOut.String(), "canceled")
}
