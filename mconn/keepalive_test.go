package mconn

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

func TestSilentPeerIsDropped(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), oneChannel, func(t *testing.T, n *node, p peer) {
		start := time.Now()
		require.Equal(t, wire.PacketPing, p.packet().Kind)
		require.Equal(t, 60*time.Second, time.Since(start))

		p.write(whole(0x20, "traffic does not replace a pong"))
		<-n.Done()
		require.Equal(t, 105*time.Second, time.Since(start))
		require.ErrorIs(t, n.onlyError(t), ErrPongTimeout)
	})
}

func TestPingEveryInterval(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), oneChannel, func(t *testing.T, n *node, p peer) {
		start := time.Now()
		for i := range 5 {
			require.Equal(t, wire.PacketPing, p.packet().Kind)
			require.Equal(t, time.Duration(i+1)*time.Minute, time.Since(start))
			advance(44 * time.Second) // just in time
			p.write(wire.AppendPong(nil))
		}

		advance(15 * time.Second)
		require.Empty(t, n.errors())
	})
}

// TestUnsolicitedPongs checks that a pong does not answer a later ping.
func TestUnsolicitedPongs(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), oneChannel, func(t *testing.T, n *node, p peer) {
		for range 10 {
			p.write(wire.AppendPong(nil))
		}

		advance(104 * time.Second)
		require.Empty(t, n.errors())
		advance(time.Second)
		require.ErrorIs(t, n.onlyError(t), ErrPongTimeout)
	})
}

func TestPongComesAtOnce(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), oneChannel, func(t *testing.T, n *node, p peer) {
		for range 3 {
			start := time.Now()
			p.write(wire.AppendPing(nil))
			require.Equal(t, wire.PacketPong, p.packet().Kind)
			require.Zero(t, time.Since(start))
			advance(time.Second)
		}

		// Pings that arrive together share pongs.
		start := time.Now()
		pongs := 0
		for range 20 {
			p.write(wire.AppendPing(nil))
			advance(10 * time.Millisecond)
		}
		for time.Since(start) < 200*time.Millisecond || pongs < 5 {
			require.Equal(t, wire.PacketPong, p.packet().Kind)
			pongs++
		}
		require.Equal(t, 5, pongs, "one at once, then one every 50 ms, the last of them for the last ping")
		require.Equal(t, 200*time.Millisecond, time.Since(start))
	})
}

// TestPongOvertakesData checks that a pong waits neither for queued messages nor
// for the send rate.
func TestPongOvertakesData(t *testing.T) {
	t.Parallel()

	config := unlimited()
	config.SendRate = 1000

	blocked(t, config, oneChannel, func(t *testing.T, n *node, p peer) {
		require.True(t, n.Send(0x20, make([]byte, 1<<20)))
		p.write(wire.AppendPing(nil))
		synctest.Wait()

		require.Equal(t, "first", string(p.packet().Payload))
		require.Equal(t, wire.PacketPong, p.packet().Kind)
	})
}

// TestOwnStallExtendsPongTimeout checks that a peer is not dropped while its pong
// lies unread on this end.
func TestOwnStallExtendsPongTimeout(t *testing.T) {
	t.Parallel()

	stalled(t, 100*time.Second, func(t *testing.T, n *node, p peer) {
		start := time.Now()

		advance(50 * time.Second)
		p.write(whole(0x20, "slow")) // handled from 50 s to 150 s
		require.Equal(t, wire.PacketPing, p.packet().Kind)
		p.write(wire.AppendPong(nil)) // answered at once, but unread until 150 s

		advance(140*time.Second - time.Since(start))
		require.Empty(t, n.errors(), "the ping of 60 s is credited")
		require.Equal(t, wire.PacketPing, p.packet().Kind, "the next one that is not held up by it")

		<-n.Done()
		require.ErrorIs(t, n.onlyError(t), ErrPongTimeout)
		require.Equal(t, 180*time.Second+45*time.Second, time.Since(start), "silence is still noticed")
	})
}

// TestPongTimeoutAfterPartialStall checks that the timeout is extended by exactly
// the time in which this end did not read.
func TestPongTimeoutAfterPartialStall(t *testing.T) {
	t.Parallel()

	stalled(t, 20*time.Second, func(t *testing.T, n *node, p peer) {
		start := time.Now()

		advance(70 * time.Second)
		p.write(whole(0x20, "slow")) // 20 of the 45 s after the ping of 60 s
		<-n.Done()
		require.ErrorIs(t, n.onlyError(t), ErrPongTimeout)
		require.Equal(t, (60+45+20)*time.Second, time.Since(start))
	})
}

// TestBlockedWriteTimesOut checks that a peer that reads nothing is dropped.
func TestBlockedWriteTimesOut(t *testing.T) {
	t.Parallel()

	neverRead(t, func(t *testing.T, n *node) {
		start := time.Now()
		<-n.Done()
		require.ErrorIs(t, n.onlyError(t), os.ErrDeadlineExceeded)
		require.Equal(t, 105*time.Second+writeErrorGrace, time.Since(start))
	})
}

// TestBlockedWriteWaitsForAPeerThatSends checks that a peer that reads nothing for ten
// minutes, as a node whose reactor is busy, and still sends pings, is kept and gets
// everything, and that it is dropped when it falls silent.
func TestBlockedWriteWaitsForAPeerThatSends(t *testing.T) {
	t.Parallel()

	for _, quiet := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			local, remote := newMemConn(1)
			n := startNode(t, local, unlimited(), oneChannel...)
			p := peer{t, remote}
			payload := bytes.Repeat([]byte("block"), 500)
			require.Equal(t, wire.PacketPing, p.packet().Kind) // its pong comes after the block
			require.True(t, n.Send(0x20, payload))

			for range 10 {
				advance(time.Minute)
				p.write(wire.AppendPing(nil))
			}

			heard := time.Now()

			require.Empty(t, n.errors())

			if quiet {
				<-n.Done()
				require.ErrorIs(t, n.onlyError(t), os.ErrDeadlineExceeded)
				require.Equal(t, 105*time.Second+writeErrorGrace, time.Since(heard))
				require.NoError(t, remote.Close())

				return
			}

			var got []byte
			for len(got) < len(payload) {
				got = append(got, p.packet().Payload...)
			}
			require.Equal(t, payload, got)
			p.write(wire.AppendPong(nil))
			advance(time.Second)
			require.Empty(t, n.errors())
			n.stop(t)
			require.NoError(t, remote.Close())
		})
	}
}

// TestDeliveryAfterWriteError checks that messages sent before a write failed are
// delivered.
func TestDeliveryAfterWriteError(t *testing.T) {
	t.Parallel()

	reset := errors.New("connection reset")

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		n := startNode(t, failWrites{local, reset}, unlimited(), oneChannel...)
		p := peer{t, remote}

		require.True(t, n.Send(0x20, []byte("fails")))
		synctest.Wait()
		require.False(t, n.Send(0x20, []byte("refused")))

		p.write(whole(0x20, "last words"))
		<-n.Done()
		require.ErrorIs(t, n.onlyError(t), reset)
		require.Equal(t, []message{{0x20, "last words"}}, n.messages())
		require.NoError(t, remote.Close())
	})
}
