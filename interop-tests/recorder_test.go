package interoptests

import (
	"fmt"
	"sync"
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

const discoveryChannel = 0x50

// recorder is a reactor that reports all its calls, and fails the test when the switch breaks
// its promises.
type recorder struct {
	compat.BaseReactor

	t         testing.TB
	log       *peerlog.Log
	discovery bool // report messages of channel 0x50

	mtx   sync.Mutex
	peers map[compat.PeerConn]map[byte]uint64 // messages of each channel
	added map[compat.PeerConn]struct{}
}

func newRecorder(t testing.TB, log *peerlog.Log, discovery bool) *recorder {
	r := &recorder{
		t: t, log: log, discovery: discovery,
		peers: make(map[compat.PeerConn]map[byte]uint64),
		added: make(map[compat.PeerConn]struct{}),
	}
	r.BaseReactor = *compat.NewBaseReactor("interop", r)

	return r
}

// GetChannels returns the channels of a real node (docs/wire.md §7).
func (r *recorder) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{
		{ID: 0x20, Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 4096, RecvMessageCapacity: 1 << 20},
		{ID: 0x21, Priority: 10, SendQueueCapacity: 100, RecvBufferCapacity: 50 * 4096, RecvMessageCapacity: 1 << 20},
		{ID: 0x22, Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 10000, RecvMessageCapacity: 1 << 20},
		{ID: 0x23, Priority: 1, SendQueueCapacity: 2, RecvBufferCapacity: 1024, RecvMessageCapacity: 1 << 20},
		{ID: 0x30, Priority: 5},
		{ID: 0x40, Priority: 10, SendQueueCapacity: 1000, RecvBufferCapacity: 50 * 4096, RecvMessageCapacity: 8454144},
		{ID: discoveryChannel, Priority: 1, SendQueueCapacity: 20, RecvMessageCapacity: 5242880},
	}
}

func (r *recorder) InitPeer(peer compat.PeerConn) compat.PeerConn {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	if _, ok := r.peers[peer]; ok {
		r.t.Errorf("InitPeer of %s twice for one connection", peer.ID())
	}
	r.peers[peer] = make(map[byte]uint64)

	return peer
}

func (r *recorder) AddPeer(peer compat.PeerConn) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	if _, ok := r.peers[peer]; !ok {
		r.t.Errorf("AddPeer of %s without InitPeer", peer.ID())
	}
	r.added[peer] = struct{}{}
	r.log.Append(protocol.Event{
		Event:    protocol.EventPeerUp,
		Peer:     peer.ID().String(),
		Addr:     peer.SocketAddr().String(),
		Outbound: peer.IsOutbound(),
		NodeInfo: describe(peer.NodeInfo()),
	})
}

func (r *recorder) RemovePeer(peer compat.PeerConn, reason any) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	if _, ok := r.peers[peer]; !ok {
		r.t.Errorf("RemovePeer of %s without InitPeer", peer.ID())
	}
	_, added := r.added[peer]
	delete(r.added, peer)
	delete(r.peers, peer)
	if !added {
		return // refused between InitPeer and AddPeer, which can happen to crossed connections
	}
	r.log.Append(protocol.Event{
		Event: protocol.EventPeerDown, Peer: peer.ID().String(), Outbound: peer.IsOutbound(), Reason: fmt.Sprint(reason),
	})
}

func (r *recorder) Receive(chID byte, peer compat.PeerConn, msg []byte) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	counts, ok := r.peers[peer]
	if !ok {
		r.t.Errorf("Receive from %s, which is no peer", peer.ID())

		return
	}
	if chID == discoveryChannel && r.discovery {
		r.receiveDiscovery(peer, msg)

		return
	}
	digest := protocol.DigestOf(msg)
	r.log.Append(protocol.Event{
		Event:   protocol.EventReceived,
		Peer:    peer.ID().String(),
		Channel: chID,
		Length:  digest.Length,
		SHA256:  digest.SHA256,
		Seq:     counts[chID],
	})
	counts[chID]++
}

func (r *recorder) receiveDiscovery(peer compat.PeerConn, msg []byte) {
	addrs, request, err := wire.DecodeDiscovery(msg)
	if err != nil {
		r.t.Errorf("discovery message of %s: %v", peer.ID(), err)

		return
	}
	r.log.Append(protocol.Event{
		Event: protocol.EventDiscovery, Peer: peer.ID().String(), Request: request, Addrs: addrs,
	})
}
