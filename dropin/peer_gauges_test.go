package dropin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

type directedPeer struct {
	compat.PeerConn
	outbound bool
}

func (p *directedPeer) IsOutbound() bool { return p.outbound }

func TestPeerGauges(t *testing.T) {
	var inbound, outbound int64
	r := newPeerGauges(func(in, out int64) { inbound, outbound = in, out })
	require.Empty(t, r.GetChannels())
	a, b, c := &directedPeer{outbound: true}, &directedPeer{}, &directedPeer{}
	for _, p := range []compat.PeerConn{a, b, c} {
		r.AddPeer(p)
	}
	require.Equal(t, []int64{2, 1}, []int64{inbound, outbound})

	r.RemovePeer(a, nil)
	r.RemovePeer(&directedPeer{outbound: true}, nil) // was never added
	require.Equal(t, []int64{2, 0}, []int64{inbound, outbound})
	r.RemovePeer(b, nil)
	r.RemovePeer(c, nil)
	require.Equal(t, []int64{0, 0}, []int64{inbound, outbound})
}

// TestGaugesWithoutTelemetry checks that nothing is recorded, and nothing panics, in a node
// that has telemetry off, since gno's gauges are nil then.
func TestGaugesWithoutTelemetry(t *testing.T) {
	require.NotPanics(t, func() { recordPeers(1, 2) })
}
