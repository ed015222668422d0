package mconn

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func TestSendRate(t *testing.T) {
	t.Parallel()

	for _, rate := range []int64{1000, 100_000, 5_120_000} {
		config := unlimited()
		config.SendRate = rate
		config.MaxSendBufferBytes = 0

		bubble(t, config, oneChannel, func(t *testing.T, n *node, p peer) {
			start := time.Now()
			require.True(t, n.Send(0x20, make([]byte, int(rate)*20+50_000)))

			// A full bucket, and a debt of one packet.
			burst := float64(max(rate/10, batchPackets*1056) + 1056)

			bytes := 0.0
			for last := false; !last; {
				packet := p.packet()
				last = packet.EOF
				bytes += float64(len(piece(0x20, last, packet.Payload)))
				require.LessOrEqual(t, bytes, burst+float64(rate)*time.Since(start).Seconds())
			}

			require.LessOrEqual(t, time.Since(start).Seconds(), bytes/float64(rate), "no time is lost")
		})
	}
}

// TestUrgentMessageUnderSendRate checks that an urgent message waits for little more
// than one group of packets when the send rate limits the connection.
func TestUrgentMessageUnderSendRate(t *testing.T) {
	t.Parallel()

	config := DefaultMConnConfig()

	bubble(t, config, []*compat.ChannelDescriptor{desc(0x40, 1), desc(0x22, 10)}, func(t *testing.T, n *node, p peer) {
		require.True(t, n.Send(0x40, make([]byte, 5_000_000)))
		advance(300 * time.Millisecond)

		// The peer has read nothing so far. It now reads what is in the conn.
		start := time.Now()
		require.True(t, n.Send(0x22, []byte("vote")))

		for packet := p.packet(); packet.Channel != 0x22; packet = p.packet() {
			require.NotZero(t, len(packet.Payload))
		}
		require.LessOrEqual(t, time.Since(start), 5*time.Millisecond)
	})
}

// TestBurstAfterPause checks that a message of burstWindow's size is not delayed.
func TestBurstAfterPause(t *testing.T) {
	t.Parallel()

	bubble(t, DefaultMConnConfig(), oneChannel, func(t *testing.T, n *node, p peer) {
		for range 3 {
			start := time.Now()
			require.True(t, n.Send(0x20, make([]byte, 500_000)))
			for !p.packet().EOF {
				continue
			}
			require.Zero(t, time.Since(start))
			advance(time.Second)
		}
	})
}

func TestRecvRate(t *testing.T) {
	t.Parallel()

	const rate, allowed = 100_000, 103_125

	config := unlimited()
	config.RecvRate = rate
	config.MaxRecvBufferBytes = 0
	config.RecvAssemblyTimeout = 0

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(4096) // the peer feels the limit
		n := startNode(t, local, config, oneChannel...)
		p := peer{t, remote}
		start := time.Now()

		packet := piece(0x20, true, xs(1000))
		total := 0
		for range 500 {
			p.write(packet)
			total += len(packet)
		}
		synctest.Wait()

		took := time.Since(start).Seconds()
		burst := float64(batchPackets*1056 + 1056 + 4096)
		require.GreaterOrEqual(t, took, (float64(total)-burst)/allowed)
		require.LessOrEqual(t, took, float64(total)/allowed)
		require.Empty(t, n.errors(), "nothing is dropped for rate")

		n.stop(t)
		require.NoError(t, remote.Close())
	})
}

// sealedConn is a conn whose peer seals each byte in a frame of its own.
type sealedConn struct {
	*memConn
	read atomic.Int64
}

const frameSize = 1044

func (c *sealedConn) Read(b []byte) (int, error) {
	n, err := c.memConn.Read(b[:1])
	c.read.Add(int64(n) * frameSize)

	return n, err
}

func (c *sealedConn) BytesRead() int64 { return c.read.Load() }

// TestRecvRateCountsTheWire checks that the receive rate counts what the conn has read, but
// not what was read before the start.
func TestRecvRateCountsTheWire(t *testing.T) {
	t.Parallel()

	const rate, allowed = 100_000, 103_125

	config := unlimited()
	config.RecvRate = rate

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		conn := &sealedConn{memConn: local}
		conn.read.Store(1 << 30) // the handshake
		n := newNode(t, conn, config, oneChannel...)
		arrived := make(chan struct{})
		n.during = func(byte, []byte) { close(arrived) }
		require.NoError(t, n.Start())
		start := time.Now()

		packet := whole(0x20, string(xs(990)))
		peer{t, remote}.write(packet)
		<-arrived

		total := float64(len(packet) * frameSize)
		burst := float64(batchPackets*1056 + frameSize)
		took := time.Since(start).Seconds()
		require.GreaterOrEqual(t, took, (total-burst)/allowed)
		require.LessOrEqual(t, took, total/allowed)

		n.stop(t)
		require.NoError(t, remote.Close())
	})
}

// TestSlowRecvRateStopsAtOnce checks that Stop interrupts the wait for the receive
// rate.
func TestSlowRecvRateStopsAtOnce(t *testing.T) {
	t.Parallel()

	config := unlimited()
	config.RecvRate = 1

	bubble(t, config, oneChannel, func(t *testing.T, n *node, p peer) {
		for range 20 {
			p.write(piece(0x20, true, xs(1000)))
		}
		advance(time.Second)

		got := len(n.messages())
		require.Less(t, got, 20)

		start := time.Now()
		n.stop(t)
		require.Zero(t, time.Since(start))
		require.Len(t, n.messages(), got)
	})
}

func TestPacer(t *testing.T) {
	t.Parallel()

	now := time.Now()
	p := newPacer(100_000, 1000, 100*time.Millisecond, now)
	require.Equal(t, 10_000, p.allowance(now), "the burst")

	p.spend(10_500)
	require.Zero(t, p.allowance(now))
	require.Zero(t, p.allowance(now.Add(50*time.Millisecond)), "closed until a group is worth it")

	opens := p.opens()
	require.WithinDuration(t, now.Add(105*time.Millisecond), opens, 10*time.Microsecond)
	require.Positive(t, p.allowance(opens))

	require.Equal(t, 10_000, p.allowance(now.Add(time.Hour)), "no more is saved up")

	unlimited := newPacer(0, 1000, 0, now)
	unlimited.spend(1 << 40)
	require.Equal(t, noLimit, unlimited.allowance(now))

	eager := newPacer(1000, 1000, 0, now)
	eager.spend(10_000)
	require.Zero(t, eager.allowance(now))
	require.WithinDuration(t, now.Add(time.Millisecond), eager.opens(), 10*time.Microsecond)
}
