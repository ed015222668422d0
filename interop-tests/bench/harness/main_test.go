package harness

import (
	"encoding/json"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain also runs the leaves and hubs that the tests start as child processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{commandLeaf, commandHub}, os.Args[1]) {
		Main(plainTCP)

		return
	}
	goleak.VerifyTestMain(m)
}

// plainTCP is a project over plain TCP, without encryption or channels.
var plainTCP = map[string]Project{"tcp": {
	SecretConn: openTCP,
	RoundTrip:  openTCP,
	Broadcast:  &Network{NewHub: newTCPHub, NewLeaf: newTCPLeaf},
	Pairs:      Each(openTCPMessages),
	Idle:       &Network{NewHub: newTCPHub, NewLeaf: newTCPLeaf},
	Connect:    openTCPConnector,
}}

func openTCP(onB, onA Handler) (*Pipe, error) {
	a, b, err := SecurePair(func(c net.Conn) (net.Conn, error) { return c, nil })
	if err != nil {
		return nil, err
	}

	return StreamPipe(a, b, onB, onA), nil
}

// measured runs a case with a short window and returns its metrics.
func measured(t *testing.T, name string) map[string]float64 {
	t.Helper()
	var out strings.Builder
	require.NoError(t, run(plainTCP, []string{"-window", "50ms", "-warmup", "10ms", name}, &out))
	var found map[string]float64
	require.NoError(t, json.Unmarshal([]byte(out.String()), &found))
	require.Contains(t, found, "foreign_cpu")

	return found
}

func TestList(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(plainTCP, nil, &out))
	require.Equal(t, []string{"tcp/broadcast", "tcp/connect", "tcp/idle", "tcp/pairs", "tcp/roundtrip", "tcp/secretconn"},
		strings.Fields(out.String()))
}

func TestUnknownCase(t *testing.T) {
	for _, name := range []string{"udp/roundtrip", "tcp/messages-64", "tcp", "roundtrip"} {
		require.Error(t, run(plainTCP, []string{name}, &strings.Builder{}), name)
	}
}

func TestProfiles(t *testing.T) {
	cpu, mem := t.TempDir()+"/cpu", t.TempDir()+"/mem"
	require.NoError(t, run(plainTCP,
		[]string{"-window", "50ms", "-cpuprofile", cpu, "-memprofile", mem, "tcp/roundtrip"}, &strings.Builder{}))
	for _, path := range []string{cpu, mem} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NotZero(t, info.Size())
	}
}
