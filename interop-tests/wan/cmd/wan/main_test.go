//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
)

func TestMain(m *testing.M) {
	child.Main(roles())
	goleak.VerifyTestMain(m)
}

// fullVariable makes TestShortForm measure every row. It needs a build without the race detector:
// when gno changes from block sync to consensus, it writes state that others read without a lock.
const fullVariable = "WAN_FULL"

// attempts is how often the command is run at most: a handshake of more than 3 s may make a peer at one end only, whose
// loss ends the run of a cell.
const attempts = 3

// TestShortForm measures the box itself, and one stack in each section that the race detector
// can run, and checks that the sections have their rows; the tests of chain and pair run the
// other stacks. With fullVariable it is the command without a flag. On a busy machine the figures
// are void, and say so.
func TestShortForm(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	svg := filepath.Join(t.TempDir(), "plot.svg")
	args := []string{"-svg", svg}
	want := map[string]int{ // with the head of each table
		"The box itself": 6, "Two nodes": 2, "Bytes on the wire": 2, "Seven validators on five continents": 2,
	}
	if os.Getenv(fullVariable) == "" {
		args = append(args, "-only", "proof|pairs|wire|consensus", "-stacks", "^native$", "-consensus", "2s")
	} else {
		want = map[string]int{
			"The box itself": 6, "Two nodes": 10, "Bytes on the wire": 10, "Seven validators on five continents": 4,
			"A node that joins": 4, "A cut and a move": 2,
		}
	}
	s, err := parse(args)
	require.NoError(t, err)
	var out, log strings.Builder
	for range attempts {
		out.Reset()
		log.Reset()
		err = run(t.Context(), s, &out, &log)
		if errors.Is(err, box.ErrUnavailable) {
			t.Skip(err)
		}
		require.NoError(t, err)
		if !strings.Contains(log.String(), "connection lost") {
			break
		}
		t.Logf("the run is repeated:\n%s", log.String())
	}
	t.Log("\n" + out.String())
	rows := make(map[string]int) // by section
	title := ""
	for line := range strings.Lines(out.String()) {
		if text, ok := strings.CutPrefix(line, "## "); ok {
			title = strings.TrimSpace(text)
		}
		if strings.HasPrefix(line, "| ") {
			rows[title]++
		}
	}
	require.Equal(t, want, rows)
	require.NotContains(t, out.String(), "failed")
	drawn, err := os.ReadFile(svg)
	require.NoError(t, err)
	require.Contains(t, string(drawn), "<svg")
}

func TestParse(t *testing.T) {
	s, err := parse([]string{"-full", "-cc", "bbr", "-rtt", "10ms,1s", "-loss", "0.5", "-blocks", "0,1", "-seeds", "2", "-only", "pairs"})
	require.NoError(t, err)
	require.Equal(t, "bbr", s.congestion)
	require.Equal(t, []time.Duration{10 * time.Millisecond, time.Second}, s.roundTrips)
	require.Equal(t, []float64{.005}, s.losses)
	require.Equal(t, []int{0, 1024}, s.sizes)
	require.Equal(t, 2, s.seeds)
	require.True(t, s.only.MatchString("pairs"))
	require.False(t, s.only.MatchString("sync"))

	s, err = parse(nil)
	require.NoError(t, err)
	require.Equal(t, box.DefaultCongestion, s.congestion)
	for _, args := range [][]string{
		{"-rtt", "ten"}, {"-loss", "x"}, {"-blocks", "x"}, {"-seeds", "-1"}, {"-only", "("}, {"-stacks", "("}, {"-nonsense"}, {"more"},
	} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
}

// fake is a result of a run.
type fake struct{ late time.Duration }

func (f fake) Void() bool { return f.late > box.LateLimit }

func TestVoidAndFailedRuns(t *testing.T) {
	var out strings.Builder
	r := &report{settings: settings{seeds: 3, tries: 2, only: regexp.MustCompile("")}, out: &out, log: io.Discard}
	run := func(results ...any) cell[fake] {
		c, err := collect(t.Context(), r, "fake", func(context.Context, int) (fake, error) {
			next := results[0]
			results = results[1:]
			if err, ok := next.(error); ok {
				return fake{}, err
			}

			return fake{next.(time.Duration)}, nil
		}, func(f fake) time.Duration { return f.late })
		require.NoError(t, err)
		require.Empty(t, results, "all runs are made")

		return c
	}
	text := func(c cell[fake]) string {
		return c.text(func(f []fake) string { return median(f, func(f fake) time.Duration { return f.late }).String() })
	}
	const ok, late = time.Millisecond, 20 * time.Millisecond
	require.Equal(t, "1ms", text(run(ok, late, ok, ok)), "a void run is repeated")
	require.Equal(t, "void (router 20ms late)", text(run(late, late, late*2, late*2, late, late)))
	require.Equal(t, "1ms (one failed)", text(run(ok, errors.New("broken"), ok)))
	require.Equal(t, "failed: broken/pipe", text(run(errors.New("broken|pipe\nmore"), errors.New("broken|pipe"), errors.New("broken|pipe"))))
	r.voidRuns()
	require.Contains(t, out.String(), "7 of 16 runs were void")
}
