package compattest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// statusPoll is how often awaitStatus reads a status, which has no signal.
const statusPoll = 5 * time.Millisecond

// statusPromises cover Status.
func (s transportSuite) statusPromises() []promiseCase {
	return []promiseCase{
		{"Status/Duration", s.statusDuration},
		{"Status/Bytes", s.statusBytes},
		{"Status/Channels", s.statusChannels},
		{"Status/QueueSize", s.statusQueueSize},
		{"Status/Always", s.statusAlways},
	}
}

// awaitStatus waits until ok holds, since a stack may count a message after delivering it.
func awaitStatus(t *testing.T, peer compat.PeerConn, what string, ok func(compat.ConnectionStatus) bool) {
	t.Helper()
	ticker := time.NewTicker(statusPoll)
	defer ticker.Stop()
	timeout := time.NewTimer(endpointPatience)
	defer timeout.Stop()
	for {
		status := peer.Status()
		if ok(status) {
			return
		}
		select {
		case <-ticker.C:
		case <-timeout.C:
			require.Failf(t, "missing: "+what, "%+v", status)
		}
	}
}

func (s transportSuite) statusDuration(t *testing.T) {
	begin := time.Now()
	l := s.running(t)
	l.works(t)
	first := l.out.Status().Duration
	require.Positive(t, first)
	awaitStatus(t, l.out, "time that goes by", func(st compat.ConnectionStatus) bool { return st.Duration > first })
	require.LessOrEqual(t, l.out.Status().Duration, time.Since(begin))
}

func (s transportSuite) statusBytes(t *testing.T) {
	l := s.running(t)
	msgs := noises(20, 5000)
	for _, msg := range msgs {
		require.True(t, l.out.Send(ChannelA, msg))
	}
	l.b.awaitCount(t, l.in, ChannelA, len(msgs))
	enough := func(f compat.FlowStatus) bool {
		return f.Bytes >= int64(len(msgs)*5000) && !f.Start.IsZero() && f.CurRate >= 0 && f.AvgRate >= 0
	}
	awaitStatus(t, l.out, "what was sent", func(st compat.ConnectionStatus) bool { return enough(st.SendMonitor) })
	awaitStatus(t, l.in, "what was received", func(st compat.ConnectionStatus) bool { return enough(st.RecvMonitor) })
}

// Status lists all channels of this side, including those that the remote lacks.
func (s transportSuite) statusChannels(t *testing.T) {
	a, b := s.endpoints(t, func(_, b *Spec) { b.Info.Channels = []byte{ChannelA} })
	l := connectEnds(t, a, b)
	l.start(t)
	var got []compat.ChannelStatus
	for _, c := range l.out.Status().Channels {
		c.RecentlySent = 0
		got = append(got, c)
	}
	require.Equal(t, []compat.ChannelStatus{
		{ID: ChannelA, SendQueueCapacity: smallQueue, Priority: smallPriority},
		{ID: ChannelB, SendQueueCapacity: bulkQueue, Priority: bulkPriority},
	}, got)
	require.Len(t, l.in.Status().Channels, 1)

	require.True(t, l.out.Send(ChannelA, make([]byte, 1000)))
	awaitStatus(t, l.out, "RecentlySent", func(st compat.ConnectionStatus) bool {
		return st.Channels[0].RecentlySent > 0 && st.Channels[1].RecentlySent == 0
	})
}

// SendQueueSize may include the message that is being sent.
func (s transportSuite) statusQueueSize(t *testing.T) {
	l := s.connected(t)
	release := l.b.hold(t)
	l.start(t)
	fill(t, l.out)
	size := l.out.Status().Channels[1].SendQueueSize
	require.Positive(t, size)
	require.LessOrEqual(t, size, bulkQueue+1)
	release()
	l.b.awaitCount(t, l.in, ChannelB, bulkQueue)
	awaitStatus(t, l.out, "an empty queue", func(st compat.ConnectionStatus) bool { return st.Channels[1].SendQueueSize == 0 })
}

// Status may be called at any time, as RPC does. It keeps its counts after the peer has
// stopped.
func (s transportSuite) statusAlways(t *testing.T) {
	l := s.connected(t)
	require.Len(t, l.out.Status().Channels, 2)
	l.start(t)
	l.works(t)
	awaitStatus(t, l.out, "what was sent", func(st compat.ConnectionStatus) bool { return st.SendMonitor.Bytes > 0 })
	require.NoError(t, l.out.Stop())
	st := l.out.Status()
	require.Len(t, st.Channels, 2)
	require.Positive(t, st.SendMonitor.Bytes)
}
