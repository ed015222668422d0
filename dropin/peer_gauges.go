package dropin

import (
	"context"
	"sync"

	"github.com/gnolang/gno/tm2/pkg/telemetry"
	"github.com/gnolang/gno/tm2/pkg/telemetry/metrics"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// peerGauges is a reactor without channels that feeds gno's gauges of inbound and outbound
// peers, if gno's telemetry is on, so that dashboards of gno show the peers of our switch.
type peerGauges struct {
	compat.BaseReactor
	record func(inbound, outbound int64)

	mu    sync.Mutex
	peers map[compat.PeerConn]struct{} // added and not removed
}

func newPeerGauges(record func(inbound, outbound int64)) *peerGauges {
	r := &peerGauges{record: record, peers: make(map[compat.PeerConn]struct{})}
	r.BaseReactor = *compat.NewBaseReactor("peer gauges", r)

	return r
}

// recordPeers sets gno's gauges.
func recordPeers(inbound, outbound int64) {
	if telemetry.MetricsEnabled() {
		metrics.InboundPeers.Record(context.Background(), inbound)
		metrics.OutboundPeers.Record(context.Background(), outbound)
	}
}

// AddPeer implements compat.Reactor.
func (r *peerGauges) AddPeer(peer compat.PeerConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers[peer] = struct{}{}
	r.recordAll()
}

// RemovePeer implements compat.Reactor. The peer may be one that was not added.
func (r *peerGauges) RemovePeer(peer compat.PeerConn, _ any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.peers, peer)
	r.recordAll()
}

// recordAll records under the lock, so that the last record is the newest.
func (r *peerGauges) recordAll() {
	var inbound, outbound int64
	for peer := range r.peers {
		if peer.IsOutbound() {
			outbound++
		} else {
			inbound++
		}
	}
	r.record(inbound, outbound)
}
