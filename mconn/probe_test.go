package mconn

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const probeTimeout = 5 * time.Second

func TestProbePingsAtOnce(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), oneChannel, func(t *testing.T, n *node, p peer) {
		start := time.Now()
		n.ProbeAlive(probeTimeout)
		n.ProbeAlive(probeTimeout + 1) // one that ends earlier is under way
		require.Equal(t, wire.PacketPing, p.packet().Kind)
		require.Zero(t, time.Since(start))

		advance(4 * time.Second)
		require.Empty(t, n.errors())
		<-n.Done()
		require.Equal(t, probeTimeout, time.Since(start))
		require.ErrorIs(t, n.onlyError(t), ErrProbeTimeout)
	})
}

// TestShorterProbeCounts checks that a probe with a shorter timeout is not held up by a
// longer one.
func TestShorterProbeCounts(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), oneChannel, func(t *testing.T, n *node, p peer) {
		n.ProbeAlive(probeTimeout)
		require.Equal(t, wire.PacketPing, p.packet().Kind)
		start := time.Now()
		n.ProbeAlive(time.Second)
		require.Equal(t, wire.PacketPing, p.packet().Kind)
		<-n.Done()
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, n.onlyError(t), ErrProbeTimeout)
	})
}

// TestAnyPacketAnswersAProbe checks that any packet answers a probe, and that the
// probe does not change the schedule of keep-alive.
func TestAnyPacketAnswersAProbe(t *testing.T) {
	t.Parallel()

	for name, packet := range map[string][]byte{
		"pong": wire.AppendPong(nil), "ping": wire.AppendPing(nil), "piece": piece(0x20, false, []byte("unfinished")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			config := unlimited()
			config.RecvAssemblyTimeout = 0

			bubble(t, config, oneChannel, func(t *testing.T, n *node, p peer) {
				start := time.Now()
				n.ProbeAlive(probeTimeout)
				require.Equal(t, wire.PacketPing, p.packet().Kind)
				advance(probeTimeout - time.Millisecond)
				p.write(packet)

				advance(60*time.Second - time.Since(start))
				require.Empty(t, n.errors())
				if name == "ping" {
					require.Equal(t, wire.PacketPong, p.packet().Kind)
				}
				require.Equal(t, wire.PacketPing, p.packet().Kind, "the ping of the interval")
				<-n.Done()
				require.Equal(t, 105*time.Second, time.Since(start))
				require.ErrorIs(t, n.onlyError(t), ErrPongTimeout)
			})
		})
	}
}

// TestEarlierPacketsAnswerNoProbe checks that packets from before a probe do not
// answer it, and that a new probe can begin once the last one is answered.
func TestEarlierPacketsAnswerNoProbe(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), oneChannel, func(t *testing.T, n *node, p peer) {
		p.write(wire.AppendPong(nil), whole(0x20, "early"))
		advance(time.Second)
		n.ProbeAlive(probeTimeout)
		require.Equal(t, wire.PacketPing, p.packet().Kind)
		p.write(wire.AppendPong(nil))
		advance(time.Second)

		start := time.Now()
		n.ProbeAlive(probeTimeout)
		require.Equal(t, wire.PacketPing, p.packet().Kind)
		require.Zero(t, time.Since(start))
		<-n.Done()
		require.Equal(t, probeTimeout, time.Since(start))
		require.ErrorIs(t, n.onlyError(t), ErrProbeTimeout)
	})
}

func TestProbeBeforeStart(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		n := newNode(t, local, unlimited(), oneChannel...)
		n.ProbeAlive(2 * probeTimeout)
		n.ProbeAlive(probeTimeout)
		n.ProbeAlive(3 * probeTimeout)
		advance(time.Minute)
		start := time.Now()
		require.NoError(t, n.Start())
		require.Equal(t, wire.PacketPing, peer{t, remote}.packet().Kind)
		<-n.Done()
		require.Equal(t, probeTimeout, time.Since(start))
		require.ErrorIs(t, n.onlyError(t), ErrProbeTimeout)
		require.NoError(t, remote.Close())
	})
}

// TestProbeWhileAWriteBlocks checks that a probe ends in time although a write is
// blocked, which times out after 105 s.
func TestProbeWhileAWriteBlocks(t *testing.T) {
	t.Parallel()

	neverRead(t, func(t *testing.T, n *node) {
		start := time.Now()
		synctest.Wait()
		n.ProbeAlive(probeTimeout)
		<-n.Done()
		require.Equal(t, probeTimeout, time.Since(start))
		err := n.onlyError(t)
		require.ErrorIs(t, err, ErrProbeTimeout)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}

// TestOwnStallExtendsAProbe checks that a probe is extended by exactly the time in
// which this end did not read.
func TestOwnStallExtendsAProbe(t *testing.T) {
	t.Parallel()

	for _, answers := range []bool{true, false} {
		stalled(t, 20*time.Second, func(t *testing.T, n *node, p peer) {
			start := time.Now()

			p.write(whole(0x20, "slow")) // handled for 20 s
			advance(time.Second)
			n.ProbeAlive(probeTimeout)
			require.Equal(t, wire.PacketPing, p.packet().Kind)
			if answers {
				p.write(wire.AppendPong(nil)) // unread for 19 s
				advance(30 * time.Second)
				require.Empty(t, n.errors())
				n.stop(t)
			} else {
				<-n.Done()
				require.Equal(t, 20*time.Second+probeTimeout, time.Since(start))
				require.ErrorIs(t, n.onlyError(t), ErrProbeTimeout)
			}
		})
	}
}

// TestStopEndsAProbe checks that no probe is reported after Stop or FlushStop. It
// leaves no timer either, since the bubble would wait for it.
func TestStopEndsAProbe(t *testing.T) {
	t.Parallel()

	for _, stop := range []func(*node){
		func(n *node) { _ = n.Stop() },
		func(n *node) { n.FlushStop() },
	} {
		synctest.Test(t, func(t *testing.T) {
			local, remote := newMemConn(plenty)
			n := startNode(t, local, unlimited(), oneChannel...)
			n.ProbeAlive(probeTimeout)
			stop(n)
			n.ProbeAlive(probeTimeout)
			<-n.Done()
			advance(2 * probeTimeout)
			require.Empty(t, n.errors())
			require.NoError(t, remote.Close())
		})
	}

	synctest.Test(t, func(t *testing.T) {
		local, _ := newMemConn(plenty)
		n := newNode(t, local, unlimited(), oneChannel...)
		n.ProbeAlive(probeTimeout) // never started
		require.NoError(t, local.Close())
	})
}

// TestConcurrentProbes runs probes, an answering peer and Stop concurrently.
func TestConcurrentProbes(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		n := newNode(t, local, unlimited(), oneChannel...)
		echo := newNode(t, remote, unlimited(), oneChannel...)
		probing := make(chan struct{})
		for range 4 {
			go func() {
				for {
					select {
					case <-probing:
						return
					case <-time.After(time.Millisecond):
						n.ProbeAlive(2 * pongSpacing)
					}
				}
			}()
		}
		advance(time.Second)
		require.NoError(t, n.Start())
		require.NoError(t, echo.Start())
		advance(time.Minute)
		require.Empty(t, n.errors())
		n.stop(t)
		close(probing)
		<-echo.Done()
		require.Empty(t, n.errors())
	})
}
