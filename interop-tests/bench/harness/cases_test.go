package harness

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThroughput(t *testing.T) {
	found := measured(t, "tcp/secretconn")
	require.Positive(t, found["rate_MBps"])
	require.InEpsilon(t, found["rate_MBps"]*1e6, found["messages_ps"]*secretConnWrite, 1e-9)
	require.Positive(t, found["cpu_s_per_GB"])
}

func TestRoundTrips(t *testing.T) {
	found := measured(t, "tcp/roundtrip")
	require.Positive(t, found["samples"])
	require.Positive(t, found["p50_us"])
	require.LessOrEqual(t, found["p50_us"], found["p99_us"])
	require.LessOrEqual(t, found["p99_us"], found["max_us"])
}

func TestConnects(t *testing.T) {
	require.Positive(t, measured(t, "tcp/connect")["connections_ps"])
}

func TestBroadcast(t *testing.T) {
	require.Positive(t, measured(t, "tcp/broadcast")["delivered_ps"])
}

func TestPairs(t *testing.T) {
	require.Positive(t, measured(t, "tcp/pairs")["delivered_ps"])
}

// fakePairs deliver after a time, except those messages that are lost.
func fakePairs(after time.Duration, lost func(pair, n int) bool) ManyOpener {
	return func(n int, onB Handler) (*Pairs, error) {
		pairs, begun := &Pairs{Close: func() error { return nil }}, time.Now()
		for i := range n {
			sent := 0
			pairs.Sends = append(pairs.Sends, func(ch byte, msg []byte) bool {
				time.Sleep(max(after-time.Since(begun), 10*time.Millisecond))
				if sent++; !lost(i, sent) {
					onB(ch, msg)
				}

				return true
			})
		}

		return pairs, nil
	}
}

// Pairs that begin to deliver after the window are measured nevertheless: that is a busy machine.
func TestSlowPairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Run{Window: time.Millisecond, metrics: make(map[string]float64)}
		require.NoError(t, manyPairs(r, fakePairs(time.Minute/4, func(int, int) bool { return false })))
		require.InEpsilon(t, broadcastPeers*100., r.metrics["delivered_ps"], .1, "one message in 10 ms each")
	})
}

// A message that does not arrive fails the case, as does a pair of which none does.
func TestLossyPairs(t *testing.T) {
	for what, lost := range map[string]func(pair, n int) bool{
		"all messages of pair 3": func(pair, n int) bool { return pair == 3 && n == 2*pairWindow },
		"messages of pair 7":     func(pair, _ int) bool { return pair == 7 },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &Run{Window: time.Millisecond, metrics: make(map[string]float64)}
			require.ErrorContains(t, manyPairs(r, fakePairs(0, lost)), what)
		})
	}
}

func TestIdle(t *testing.T) {
	found := measured(t, "tcp/idle")
	require.InDelta(t, 1, found["goroutines_per_peer"], .1, "the hub has one reader for each peer")
	require.GreaterOrEqual(t, found["heap_KiB_per_peer"], 4., "and a buffer of 4 KiB")
}

// TestPriority checks that messages on ChHigh are timed and those on ChLow only counted.
func TestPriority(t *testing.T) {
	r := &Run{metrics: make(map[string]float64)}
	open := func(onB, _ Handler) (*Pipe, error) {
		var mtx sync.Mutex

		return &Pipe{
			Send: func(ch byte, msg []byte) bool {
				mtx.Lock()
				defer mtx.Unlock()
				onB(ch, msg)

				return true
			},
			Close: func() error { return nil },
		}, nil
	}
	require.NoError(t, priority(r, open))
	require.Positive(t, r.metrics["samples"])
	require.LessOrEqual(t, r.metrics["samples"], float64(minFloodWindow/urgentInterval)+1)
	require.Positive(t, r.metrics["low_MBps"])
	require.GreaterOrEqual(t, r.metrics["p50_us"], 0.)
}

// TestBrokenPipe checks that a case fails when an end accepts or delivers no messages.
func TestBrokenPipe(t *testing.T) {
	r := &Run{Window: time.Millisecond, metrics: make(map[string]float64)}
	broken := func(takes bool) Opener {
		return func(Handler, Handler) (*Pipe, error) {
			send := func(byte, []byte) bool { return takes }

			return &Pipe{Send: send, Reply: send, Close: func() error { return nil }}, nil
		}
	}
	require.Error(t, throughput(r, broken(false), 1))
	require.ErrorIs(t, throughput(r, broken(true), 1), errNothing)
	require.ErrorIs(t, roundTrips(r, broken(false)), errSend)
	require.ErrorIs(t, priority(r, broken(false)), errSend)

	failed := errors.New("failed")
	fail := func(Handler, Handler) (*Pipe, error) { return nil, failed }
	require.ErrorIs(t, throughput(r, fail, 1), failed)
	require.ErrorIs(t, roundTrips(r, fail), failed)
	require.ErrorIs(t, priority(r, fail), failed)
	require.ErrorIs(t, connects(r, func(int) (*Connector, error) {
		return &Connector{
			Connect: func(int) error { return failed },
			Close:   func() error { return nil },
		}, nil
	}), failed)
}

func TestSecurePairFailure(t *testing.T) {
	failed := errors.New("failed")
	var first sync.Once
	a, b, err := SecurePair(func(c net.Conn) (net.Conn, error) {
		err := error(nil)
		first.Do(func() { err = failed })
		if err != nil {
			return nil, err
		}
		_, err = c.Read(make([]byte, 1)) // returns when the other end is closed
		require.ErrorIs(t, err, io.EOF)

		return c, nil
	})
	require.ErrorIs(t, err, failed)
	require.Nil(t, a)
	require.Nil(t, b)
}

func TestQuantile(t *testing.T) {
	values := []float64{1, 2, 3, 4, 5}
	require.EqualValues(t, 1, quantile(values, 0))
	require.EqualValues(t, 3, quantile(values, .5))
	require.EqualValues(t, 4.5, quantile(values, .875))
	require.EqualValues(t, 5, quantile(values, 1))
	require.EqualValues(t, 7, quantile([]float64{7}, .99))
}

func TestCounters(t *testing.T) {
	f, err := newCounterFile()
	require.NoError(t, err)
	defer f.Close()
	ours, err := mapCounters(f, 3)
	require.NoError(t, err)
	theirs, err := mapCounters(f, 3)
	require.NoError(t, err)
	for i := range theirs {
		theirs[i].Add(int64(i + 1))
	}
	require.EqualValues(t, 1, ours.least())
	require.EqualValues(t, 6, ours.sum())
}
