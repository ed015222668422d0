package main

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

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

// attempts is how often a command is run of which the node is late: it gives each step of a handshake 3 s, and a probe
// waits 1 s for a NodeInfo and 5 s for a connection over QUIC.
const attempts = 5

// handshakeTime is what a node gives each step of a handshake.
const handshakeTime = 3 * time.Second

// callUntil is call, again while late reports that the node was late.
func callUntil(t *testing.T, late func(status int, stdout, stderr string) bool, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	for range attempts {
		if status, stdout, stderr = call(t, args...); !late(status, stdout, stderr) {
			break
		}
		t.Logf("the node was late: %s\n%s", strings.Join(args, " "), stderr)
	}

	return status, stdout, stderr
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
	for _, name := range []string{"probe", "crawl", "report", "record", "id", "convert", "version", "completion"} {
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
		{[]string{"crawl"}, "--seeds is missing"},
		{[]string{"crawl", "--seeds", "a:1", "--rate", "0"}, "--rate 0"},
		{[]string{"crawl", "--seeds", "a:1", "--at-once", "0"}, "--at-once 0"},
		{[]string{"crawl", "--seeds", "a:1", "--watch", "1m"}, "--watch needs --out"},
		{[]string{"crawl", "--seeds", "a:1", "--watch", "0s", "--out", "f"}, "--watch 0s"},
		{[]string{"crawl", "--seeds", "127.0.0.1:1,nowhere"}, `--seeds: address "nowhere"`},
		{[]string{"crawl", "extra"}, `unexpected argument "extra"`},
		{[]string{"report"}, "FILE is missing"},
		{[]string{"report", "a", "--rows", "1"}, "--rows 1"},
		{[]string{"record"}, "ADDRESS is missing"},
		{[]string{"record", "a:1", "--from", "b"}, `unexpected argument "a:1"`},
		{[]string{"record", "--from", "b", "--out", "c"}, "--from or --out"},
		{[]string{"record", "a:1", "--listen", "-1s"}, "--listen -1s"},
		{[]string{"id"}, "KEYFILE is missing"},
		{[]string{"convert"}, "FORM is missing"},
	} {
		status, stdout, stderr := call(t, tc.args...)
		require.Equal(t, cli.ExitUsage, status, tc.args)
		require.Empty(t, stdout)
		require.Contains(t, stderr, tc.want)
		require.Contains(t, stderr, "Usage:")
	}
}

func TestRuntimeErrors(t *testing.T) {
	closed := closedPort(t)
	for _, tc := range []struct {
		args []string
		want []string
	}{
		{[]string{"probe", closed}, []string{closed, "refused"}},
		{[]string{"probe", "nowhere"}, []string{`address "nowhere"`}},
		{[]string{"probe", closed, "nowhere"}, []string{"2 of 2", closed}},
		{[]string{"crawl", "--seeds", closed}, []string{"no seed answers", "refused"}},
		{[]string{"report", "no-file"}, []string{"no-file"}},
		{[]string{"record", closed}, []string{"refused"}},
		{[]string{"record", "--from", "no-file"}, []string{"no-file"}},
		{[]string{"id", "no-file"}, []string{"no-file"}},
		{[]string{"convert", "nothing"}, []string{`"nothing"`, "neither"}},
	} {
		status, _, stderr := call(t, tc.args...)
		require.Equal(t, cli.ExitFailed, status, tc.args)
		require.NotContains(t, stderr, "Usage:")
		for _, want := range tc.want {
			require.Contains(t, stderr, want, tc.args)
		}
	}
}

// closedPort returns an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()

	return listener.Addr().String()
}

// Several addresses are probed at once, and told in their order.
func TestProbeSeveral(t *testing.T) {
	nativeAt, libp2pAt := startNative(t), startLibp2p(t)
	closed := closedPort(t)
	var reports [3]probeReport
	status, _, stderr := callUntil(t, func(_ int, stdout, _ string) bool {
		reports = [3]probeReport{}
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		require.Len(t, lines, 3)
		for i, line := range lines {
			require.NoError(t, json.Unmarshal([]byte(line), &reports[i]))
		}

		return reports[0].NodeInfo == nil || reports[2].QUIC == nil || !*reports[2].QUIC
	}, "probe", "--json", nativeAt.String(), closed, libp2pAt.DialString())
	require.Equal(t, cli.ExitFailed, status)
	require.Contains(t, stderr, closed)
	require.Equal(t, nativeAt.ID, reports[0].ID)
	require.Equal(t, []string{"native"}, reports[0].Stacks)
	require.Nil(t, reports[0].QUIC)
	require.NotNil(t, reports[0].NodeInfo)
	require.Equal(t, "dev", reports[0].NodeInfo.Network)
	require.Contains(t, reports[1].Error, "refused")
	require.Equal(t, libp2pAt.ID, reports[2].ID)
	require.NotNil(t, reports[2].QUIC)
	require.True(t, *reports[2].QUIC)
	require.Positive(t, reports[2].RoundTrip)
}
