package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call runs a command line until it ends.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = cli.Execute(t.Context(), newRoot(), args, &out, &errOut)

	return status, out.String(), errOut.String()
}

func TestVersion(t *testing.T) {
	status, stdout, stderr := call(t, "--version")
	require.Zero(t, status, stderr)
	require.Regexp(t, `^tm2net \S.* go1\.\S+ \w+/\w+\n$`, stdout)
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := call(t)
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	for _, name := range []string{"probe", "version", "completion"} {
		require.Contains(t, stdout, "\n  "+name+" ")
	}
}

func TestCompletion(t *testing.T) {
	status, stdout, stderr := call(t, "completion", "bash")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "tm2net")
}

func TestUsageErrors(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"prob"}, `there is no command "prob"; did you mean probe?`},
		{[]string{"version", "extra"}, `unexpected argument "extra"`},
		{[]string{"probe"}, "ADDRESS is missing"},
		{[]string{"probe", "--timeout", "0s", "a:1"}, "--timeout 0s"},
		{[]string{"probe", "--no-such-flag"}, "--no-such-flag"},
	} {
		status, stdout, stderr := call(t, tc.args...)
		require.Equal(t, cli.ExitUsage, status, tc.args)
		require.Empty(t, stdout)
		require.Contains(t, stderr, tc.want)
		require.Contains(t, stderr, "Usage:")
	}
}
