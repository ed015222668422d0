package mconn

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

const testFrame = 1024

// framedConn sends frames, and says how many bytes to write at a time.
type framedConn struct {
	net.Conn
	size int

	mu            sync.Mutex
	bytes, frames int
}

func (c *framedConn) FrameSize() int { return testFrame }
func (c *framedConn) WriteSize() int { return c.size }

func (c *framedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += len(p)
	c.frames += (len(p) + testFrame - 1) / testFrame

	return c.Conn.Write(p)
}

// TestBulkFillsFrames checks that only the last frame of a message may be filled in part, also
// on a slow path, where batches are small, and with a send rate, which cuts them anywhere.
func TestBulkFillsFrames(t *testing.T) {
	t.Parallel()

	const messages, size = 10, 64 << 10

	for _, rate := range []int64{0, 5_120_000, 100_000} {
		for _, batch := range []int{4 << 10, maxBatch} {
			synctest.Test(t, func(t *testing.T) {
				local, remote := newMemConn(plenty)
				framed := &framedConn{Conn: local, size: batch}
				config := unlimited()
				config.SendRate = rate
				sender, receiver := startNode(t, framed, config, oneChannel...), startNode(t, remote, unlimited(), oneChannel...)

				for range messages {
					require.True(t, sender.Send(0x20, make([]byte, size)))
				}
				advance(time.Minute)
				require.Len(t, receiver.messages(), messages)
				require.Greater(t, framed.bytes, messages*size)
				require.LessOrEqual(t, framed.frames, framed.bytes/testFrame+messages, "rate %d, batches of %d", rate, batch)

				sender.stop(t)
				receiver.stop(t)
			})
		}
	}
}

// TestFramesAreFullUnderASendRate checks that messages that wait share frames, whatever the rate and
// the size of packets: a frame counts as full.
func TestFramesAreFullUnderASendRate(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		rate     int64
		throttle time.Duration
		packet   int
	}{
		{3000, 100 * time.Millisecond, 1024}, {100_000, 0, 1024}, {100_000, 100 * time.Millisecond, 64}, {5_120_000, 0, 1024},
	} {
		synctest.Test(t, func(t *testing.T) {
			local, remote := newMemConn(plenty)
			framed := &framedConn{Conn: local, size: maxBatch}
			config := unlimited()
			config.SendRate, config.FlushThrottle, config.MaxPacketMsgPayloadSize = c.rate, c.throttle, c.packet
			sender, receiver := startNode(t, framed, config, oneChannel...), startNode(t, remote, unlimited(), oneChannel...)
			const messages, size = 3000, 100
			go func() {
				for range messages {
					for !sender.Send(0x20, make([]byte, size)) && sender.IsRunning() {
					}
				}
			}()
			for len(receiver.messages()) < messages {
				advance(time.Second)
			}
			require.Less(t, framed.frames*testFrame*9/10, framed.bytes, "%+v", c)

			sender.stop(t)
			receiver.stop(t)
		})
	}
}

// TestFramesDelayNothing checks that messages and pings arrive at the same moments with and
// without frames: only what is of no use to the peer is held back. Where a send rate holds
// messages up, they take no longer than what their frames cost.
func TestFramesDelayNothing(t *testing.T) {
	t.Parallel()

	for _, rate := range []int64{0, 5_120_000, 100_000, 3000} {
		var framed *framedConn
		arrivals := func(wrap func(net.Conn) net.Conn) (times []string, last time.Duration) {
			synctest.Test(t, func(t *testing.T) { times, last = arrivals(t, wrap, rate) })

			return times, last
		}
		plain, _ := arrivals(func(c net.Conn) net.Conn { return c })
		require.Len(t, plain, 60)
		inFrames, last := arrivals(func(c net.Conn) net.Conn {
			framed = &framedConn{Conn: c, size: maxBatch}

			return framed
		})
		if rate == 0 || rate == 5_120_000 {
			require.Equal(t, plain, inFrames, "rate %d", rate)

			continue
		}
		require.Len(t, inFrames, len(plain))
		require.LessOrEqual(t, last.Seconds(), float64(framed.frames*testFrame)/float64(rate), "rate %d", rate)
	}
}

// arrivals sends messages of many sizes on two channels and returns when each arrives, and
// when the last one does.
func arrivals(t *testing.T, wrap func(net.Conn) net.Conn, rate int64) (times []string, last time.Duration) {
	descs := []*compat.ChannelDescriptor{desc(0x40, 1), desc(0x22, 10)}
	local, remote := newMemConn(plenty)
	config := unlimited()
	config.SendRate = rate
	config.MaxPacketMsgPayloadSize = 300
	sender, receiver := startNode(t, wrap(local), config, descs...), newNode(t, remote, unlimited(), descs...)
	begun := time.Now()
	receiver.during = func(ch byte, msg []byte) {
		last = time.Since(begun)
		times = append(times, fmt.Sprintf("%v: %d bytes on %#x", last, len(msg), ch))
	}
	require.NoError(t, receiver.Start())

	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		require.True(t, sender.Send(0x40, make([]byte, 1+random.IntN(5000))))
		advance(time.Duration(random.IntN(20)) * time.Millisecond)
		require.True(t, sender.Send(0x22, make([]byte, 1+random.IntN(400))))
		advance(time.Duration(random.IntN(20)) * time.Millisecond)
	}
	advance(5 * time.Minute)
	require.Zero(t, sender.Status().Channels[0].SendQueueSize)
	require.Empty(t, sender.errors(), "pings arrive and are answered")
	sender.stop(t)
	receiver.stop(t)

	return times, last
}
