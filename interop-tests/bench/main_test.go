package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	s, err := parse([]string{"-runs", "7", "-only", "^native"})
	require.NoError(t, err)
	require.Equal(t, 7, s.runs)
	require.True(t, s.only.MatchString("native: idle peer"))
	require.False(t, s.only.MatchString("libp2p: idle peer"))

	s, err = parse([]string{"-quick"})
	require.NoError(t, err)
	require.Equal(t, quickRuns, s.runs)
	require.Equal(t, quickWindow, s.window)

	for _, args := range [][]string{{"-runs", "0"}, {"-window", "0s"}, {"-only", "("}, {"-nonsense"}} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
}
