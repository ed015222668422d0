//go:build linux

package main

import (
	"errors"
	"io"
	"strings"
	"testing"

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

// TestShortForm runs the command without a flag and checks that every row has figures.
func TestShortForm(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	s, err := parse(nil)
	require.NoError(t, err)
	var out strings.Builder
	err = run(t.Context(), s, &out, io.Discard)
	if errors.Is(err, box.ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Log("\n" + out.String())
	for _, row := range rows() {
		require.Contains(t, out.String(), "| "+row.name+" |")
	}
	require.NotContains(t, out.String(), "failed")
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
