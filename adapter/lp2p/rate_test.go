package lp2p

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// rated makes a session from a node to one with the options of each, in simulated time.
func rated(t *testing.T, optsA, optsB []Option) (a, b *node, p *Peer) {
	t.Helper()
	memnet := newMemNet()
	a = memnet.newNode(t, net.IPv4(10, 0, 0, 1), optsA...)
	b = memnet.newNode(t, net.IPv4(10, 0, 0, 2), optsB...)
	p, _ = connect(t, a, b)

	return a, b, p
}

// requireTime checks that what has happened since then took as long as so many bytes take at
// the rate, after a burst.
func requireTime(t *testing.T, begun time.Time, bytes int, rate int64) {
	t.Helper()
	burst := max(rate/rateBurst, maxFrame)
	least := time.Duration(float64(int64(bytes)-burst) / float64(rate) * float64(time.Second))
	require.InDelta(t, least.Seconds(), time.Since(begun).Seconds(), 0.02*least.Seconds()+2*minWait.Seconds())
}

func TestRates(t *testing.T) {
	const rate, size = 1 << 20, 1 << 20
	for name, opts := range map[string][2]Option{
		"received": {WithRates(0, 0), WithRates(0, rate)},
		"sent":     {WithRates(rate, 0), WithRates(0, 0)},
	} {
		for _, channels := range [][]byte{{chA}, {chA, chB}} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					_, b, p := rated(t, opts[:1], opts[1:])
					begun := time.Now()
					for range 10 / len(channels) {
						for _, ch := range channels {
							require.True(t, p.Send(ch, make([]byte, size)))
						}
					}
					b.reactor.await(t, 10)
					requireTime(t, begun, 10*size, rate)
					require.True(t, p.IsRunning())
				})
			})
		}
	}
}

// A receiver takes tiny messages at a rate of messages.
func TestRateOfTinyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, messages = 1 << 20, 50000
		_, b, p := rated(t, nil, []Option{WithRates(0, rate)})
		b.reactor.discard = true
		last := make(chan struct{})
		received := 0
		b.reactor.hook = func(byte, compat.PeerConn, []byte) {
			if received++; received == messages {
				close(last)
			}
		}
		begun := time.Now()
		for range messages {
			require.True(t, p.Send(chA, []byte{1}))
		}
		<-last
		requireTime(t, begun, messages*(1+messageCost), rate)
	})
}

// Over sockets a peer delivers no more than what the rate lets through at once, and keeps its
// session.
func TestRecvRateOverSockets(t *testing.T) {
	const messages = 5 * maxFrame / messageCost
	timeouts := patientTimeouts()
	timeouts.Flush = 300 * time.Millisecond // neither end can wait for so many messages
	a, b := newNode(t, nil, WithTimeouts(timeouts)), newNode(t, nil, WithTimeouts(timeouts), WithRates(0, 1))
	p, q := connect(t, a, b)
	for range messages {
		require.True(t, p.Send(chA, []byte{1}))
	}
	require.True(t, q.IsRunning())
	p.FlushStop() // gives up
	require.LessOrEqual(t, b.reactor.count(), maxFrame/(1+messageCost)+1)
	require.NotErrorIs(t, b.failure(t).err, control.ErrProtocol)
}

// A message that the rate delays is no violation, however long it takes.
func TestRateDelaysNoViolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, size = 24 << 10, 1 << 20
		_, b, p := rated(t, nil, []Option{WithRates(0, rate)})
		begun := time.Now()
		require.True(t, p.Send(chA, make([]byte, size)))
		b.reactor.await(t, 1)
		require.Greater(t, time.Since(begun), DefaultTimeouts().Assembly)
		require.True(t, p.IsRunning())
	})
}

// The channels share the send rate by their priorities, of which one is twice the other.
func TestSendRateHonoursPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, p := rated(t, []Option{WithRates(1<<20, 0)}, nil)
		const size = batchSize - 16 // one write, so that both channels wait for every turn
		for range 100 {
			require.True(t, p.TrySend(chA, make([]byte, size)))
			require.True(t, p.TrySend(chC, make([]byte, size)))
		}
		<-time.After(time.Second) // what the first queue has sent before the other was filled
		firstLow, firstHigh := len(b.reactor.on(chA)), len(b.reactor.on(chC))
		<-time.After(5 * time.Second)
		low, high := len(b.reactor.on(chA))-firstLow, len(b.reactor.on(chC))-firstHigh
		require.InDelta(t, 2, float64(high)/float64(low), 0.3, "%d and %d messages", high, low)
		require.NoError(t, p.Stop())
	})
}

// Nothing that waits for a rate outlives its session.
func TestStopEndsWaitForRate(t *testing.T) {
	for name, opts := range map[string][2]Option{
		"received": {WithRates(0, 0), WithRates(0, 1)},
		"sent":     {WithRates(1, 0), WithRates(0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, p := rated(t, opts[:1], opts[1:])
				require.True(t, p.Send(chA, make([]byte, 3*maxFrame)))
				<-time.After(time.Second)
				begun := time.Now()
				require.NoError(t, a.Close())
				require.NoError(t, b.Close())
				require.Less(t, time.Since(begun), time.Minute)
			})
		})
	}
}

// Small messages have to wait for the send rate too, if each is written alone.
func TestSendRateOfSmallWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, messages, size = 64 << 10, 500, 512
		_, b, p := rated(t, []Option{WithRates(rate, 0)}, nil)
		begun := time.Now()
		for i := range messages {
			require.True(t, p.Send(chA, make([]byte, size)))
			b.reactor.await(t, i+1)
		}
		requireTime(t, begun, messages*size, rate)
	})
}

func TestWithRates(t *testing.T) {
	for refused, opt := range map[string]Option{"send rate -1": WithRates(-1, 0), "receive rate -2": WithRates(0, -2)} {
		_, err := newOptions([]Option{opt})
		require.ErrorIs(t, err, compat.ErrInvalidOption)
		require.ErrorContains(t, err, refused)
	}
}
