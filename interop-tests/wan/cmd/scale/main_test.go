//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/scale"
)

func TestMain(m *testing.M) {
	child.Main(scale.Roles())
	goleak.VerifyTestMain(m)
}

// TestShortForm runs the command with a few peers on one stack and checks that every row has
// figures; the test of scale runs the other stacks.
func TestShortForm(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	table := tableOf(t, "-peers", "10", "-stacks", "native$")
	require.Contains(t, table, "| native |")
	require.Contains(t, table, "| bound of native |")
}

// tableOf returns the table of the command, in which no row has failed.
func tableOf(t *testing.T, args ...string) string {
	t.Helper()
	s, err := parse(args)
	require.NoError(t, err)
	var out strings.Builder
	err = run(t.Context(), s, &out, io.Discard)
	if errors.Is(err, box.ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Log("\n" + out.String())
	require.NotContains(t, out.String(), "failed")

	return out.String()
}

// fullVariable makes TestAllRows run.
const fullVariable = "WAN_FULL"

// TestAllRows measures every row with a few peers, CometBFT among them, which is built for it.
func TestAllRows(t *testing.T) {
	if os.Getenv(fullVariable) == "" {
		t.Skip("CometBFT takes long to build: set " + fullVariable)
	}
	if !netnstest.Inside(t) {
		return
	}
	table := tableOf(t, "-peers", "10")
	for _, row := range rows() {
		require.Contains(t, table, "| "+row.name+" |")
	}
}

// The CPU time of a few broadcasts may drown in what an idle hub uses, so the bound may be 0.
func TestTimesTheBound(t *testing.T) {
	require.Equal(t, "1.50", times(3*time.Microsecond, 2*time.Microsecond))
	require.Empty(t, times(3*time.Microsecond, 0))
}

func TestParse(t *testing.T) {
	s, err := parse([]string{"-full", "-peers", "300", "-stacks", "native"})
	require.NoError(t, err)
	require.Equal(t, 300, s.Peers)
	require.True(t, s.stacks.MatchString("native"))
	for _, args := range [][]string{{"-stacks", "("}, {"-nonsense"}, {"more"}} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
}
