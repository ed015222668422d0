package mconn

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func TestStatus(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		n := newNode(t, local, unlimited(), desc(0x21, 3), &compat.ChannelDescriptor{ID: 0x20, Priority: 7})
		before := n.Status()
		require.Zero(t, before.Duration)
		require.Equal(t, compat.FlowStatus{}, before.SendMonitor)
		require.Equal(t, []compat.ChannelStatus{
			{ID: 0x21, SendQueueCapacity: 100, Priority: 3}, {ID: 0x20, SendQueueCapacity: 1, Priority: 7},
		}, before.Channels)

		advance(time.Hour) // time before Start does not count
		start := time.Now()
		require.NoError(t, n.Start())
		p := peer{t, remote}

		packet := whole(0x21, string(xs(1000)))
		for range 100 { // 10 s
			require.True(t, n.Send(0x21, xs(1000)))
			p.write(packet, packet)
			advance(100 * time.Millisecond)
		}

		sent := int64(100 * len(packet))
		s := n.Status()
		require.Equal(t, 10*time.Second, s.Duration)
		require.Equal(t, start, s.SendMonitor.Start)
		require.Equal(t, start, s.RecvMonitor.Start)
		require.Equal(t, sent, s.SendMonitor.Bytes)
		require.Equal(t, 2*sent, s.RecvMonitor.Bytes)
		require.Equal(t, sent/10, s.SendMonitor.AvgRate)
		require.Equal(t, 2*sent/10, s.RecvMonitor.AvgRate)
		require.InEpsilon(t, sent/10, s.SendMonitor.CurRate, 0.02)
		require.InEpsilon(t, 2*sent/10, s.RecvMonitor.CurRate, 0.02)
		require.Positive(t, s.Channels[0].RecentlySent)
		require.Zero(t, s.Channels[1].RecentlySent)

		advance(10 * time.Second)
		s = n.Status()
		require.Zero(t, s.SendMonitor.CurRate/100, "silence")
		require.Equal(t, sent/20, s.SendMonitor.AvgRate)

		n.stop(t)
		require.NoError(t, remote.Close())
	})
}

func TestQueueWrapsAround(t *testing.T) {
	t.Parallel()

	q := queue{limit: 7}
	next, want := byte(0), byte(0)

	for round := range 40 {
		for range 1 + round%7 {
			if q.full() {
				break
			}
			q.push([]byte{next})
			next++
		}
		for range 1 + round%5 {
			if msg := q.pop(); msg != nil {
				require.Equal(t, []byte{want}, msg)
				want++
			}
		}
		require.LessOrEqual(t, q.n, 7)
		require.Equal(t, int(next-want), q.n)
	}

	require.LessOrEqual(t, len(q.slots), 7)
	q.clear()
	require.Nil(t, q.pop())
}
