package flow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMeter(t *testing.T) {
	var m Meter
	now := time.Unix(1000, 0)
	require.Equal(t, compat.FlowStatus{}, m.Status(now))
	m.Begin(now)
	start := now
	require.Equal(t, compat.FlowStatus{Start: start}, m.Status(now), "no time has passed")
	for range 100 { // ten seconds of 1000 bytes a second
		now = now.Add(100 * time.Millisecond)
		m.Add(100, now)
	}
	st := m.Status(now)
	require.Equal(t, int64(10000), st.Bytes)
	require.Equal(t, int64(1000), st.AvgRate)
	require.InDelta(t, 1000, st.CurRate, 20)

	now = now.Add(10 * time.Second)
	st = m.Status(now)
	require.Less(t, st.CurRate, int64(20), "silence is forgotten soon")
	require.Equal(t, int64(500), st.AvgRate)
}

func TestRecent(t *testing.T) {
	var r Recent
	now := time.Unix(1000, 0)
	require.Zero(t, r.At(now))
	r.Add(now, 1000)
	require.InDelta(t, 800, r.At(now.Add(DecayInterval)), 1e-6)
	r.Add(now.Add(DecayInterval), 200)
	require.InDelta(t, 640, r.At(now.Add(3*DecayInterval)), 1e-6)
}
