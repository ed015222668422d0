package box

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fates passes n packets, 1 ms apart, and returns when each arrives, or -1 if it is lost.
func fates(p Path, seed uint64, n int) []time.Duration {
	l := newLine(p, seed, 1)
	var fates []time.Duration
	for i := range n {
		due, ok := l.arrival(time.Duration(i) * time.Millisecond)
		if !ok {
			due = -1
		}
		fates = append(fates, due)
	}

	return fates
}

func TestPathIsTheSameForOneSeed(t *testing.T) {
	p := Path{Delay: 50 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: .02, Burst: 3, Reorder: .01, ReorderBy: 9 * time.Millisecond}
	require.Equal(t, fates(p, 1, 10_000), fates(p, 1, 10_000))
	require.NotEqual(t, fates(p, 1, 10_000), fates(p, 2, 10_000))
}

// TestPathWithNothingSet has neither delay nor loss.
func TestPathWithNothingSet(t *testing.T) {
	for i, due := range fates(Path{}, 1, 100) {
		require.Equal(t, time.Duration(i)*time.Millisecond, due)
	}
}

func TestPathDown(t *testing.T) {
	for _, due := range fates(Path{Down: true}, 1, 100) {
		require.EqualValues(t, -1, due)
	}
}

func TestJitterKeepsTheOrder(t *testing.T) {
	p := Path{Delay: 50 * time.Millisecond, Jitter: 20 * time.Millisecond}
	var last, most time.Duration
	for i, due := range fates(p, 1, 10_000) {
		sent := time.Duration(i) * time.Millisecond
		require.GreaterOrEqual(t, due, sent+p.Delay)
		require.LessOrEqual(t, due, sent+p.Delay+p.Jitter)
		require.GreaterOrEqual(t, due, last)
		last, most = due, max(most, due-sent)
	}
	require.Greater(t, most, p.Delay+p.Jitter*9/10)
}

func TestReorder(t *testing.T) {
	p := Path{Delay: 50 * time.Millisecond, Reorder: .1, ReorderBy: 10 * time.Millisecond}
	const n = 10_000
	late := 0
	for i, due := range fates(p, 1, n) {
		switch took := due - time.Duration(i)*time.Millisecond; took {
		case p.Delay + p.ReorderBy:
			late++
		default:
			require.Equal(t, p.Delay, took)
		}
	}
	require.InDelta(t, p.Reorder, float64(late)/n, .01)
}

func TestLoss(t *testing.T) {
	const n = 1_000_000
	for name, p := range map[string]Path{
		"0.5 %": {Loss: .005}, "2 %": {Loss: .02}, "2 % in bursts of 5": {Loss: .02, Burst: 5},
	} {
		t.Run(name, func(t *testing.T) {
			lost, bursts, before := 0, 0, false
			for _, due := range fates(p, 1, n) {
				if due < 0 {
					lost++
					if !before {
						bursts++
					}
				}
				before = due < 0
			}
			require.InEpsilon(t, p.Loss, float64(lost)/n, .05)
			// Independent losses follow each other by chance.
			mean := max(p.Burst, 1/(1-p.Loss))
			require.InEpsilon(t, mean, float64(lost)/float64(bursts), .05)
		})
	}
}

func TestUplink(t *testing.T) {
	const size = 1250                             // 1 ms at 10 Mbit/s
	e := newExit(Uplink{Rate: 10e6, Queue: 4000}) // three packets and a part
	for i := range 3 {
		left, ok := e.departure(0, size)
		require.True(t, ok)
		require.Equal(t, time.Duration(i+1)*time.Millisecond, left)
	}
	_, ok := e.departure(0, size)
	require.False(t, ok, "the queue is full")
	left, ok := e.departure(time.Millisecond, size)
	require.True(t, ok, "one packet has left")
	require.Equal(t, 4*time.Millisecond, left)
	left, ok = e.departure(time.Second, size)
	require.True(t, ok)
	require.Equal(t, time.Second+time.Millisecond, left, "an idle uplink saves nothing up")
}

// TestUplinkWithNothingSet passes everything at once, and has a default queue for a rate.
func TestUplinkWithNothingSet(t *testing.T) {
	e := newExit(Uplink{})
	for range 1000 {
		left, ok := e.departure(time.Second, mtu)
		require.True(t, ok)
		require.Equal(t, time.Second, left)
	}
	require.Equal(t, 1_250_000, newExit(Mbit(100)).Queue)
}

func TestBadConfig(t *testing.T) {
	for want, c := range map[string]Config{
		"at least one place": {},
		"at most":            {Places: maxPlaces + 1},
		"Rate":               {Places: 1, Uplink: func(int) Uplink { return Uplink{Rate: -1} }},
		"Queue":              {Places: 1, Uplink: func(int) Uplink { return Uplink{Rate: 1, Queue: 10} }},
		"Delay":              {Places: 2, Path: Even(Path{Delay: -1})},
		"Loss must":          {Places: 2, Path: Even(Path{Loss: 1})},
		"bursts":             {Places: 2, Path: Even(Path{Loss: .9, Burst: 2})},
		"Reorder":            {Places: 2, Path: Even(Path{Reorder: 2})},
		"congestion control": {Places: 1, Congestion: "cubic; rm"},
	} {
		require.ErrorContains(t, c.Validate(), want)
	}
	require.NoError(t, Config{Places: 2}.Validate())
}

func TestContinents(t *testing.T) {
	for a := range Continents {
		for b := range Continents {
			require.Equal(t, RoundTrip(a, b), RoundTrip(b, a))
			require.Positive(t, RoundTrip(a, b))
		}
	}
}
