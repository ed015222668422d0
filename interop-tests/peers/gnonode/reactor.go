package gnonode

import (
	"fmt"
	"sync"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/program"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// reactor reports all its calls.
type reactor struct {
	p2p.BaseReactor

	descs []*conn.ChannelDescriptor
	out   *program.Reporter

	mtx   sync.Mutex
	known map[p2p.PeerConn]map[byte]uint64 // messages so far, of peers that were initialised
	added map[p2p.PeerConn]struct{}
}

func newReactor(descs []*conn.ChannelDescriptor, out *program.Reporter) *reactor {
	r := &reactor{
		descs: descs,
		out:   out,
		known: make(map[p2p.PeerConn]map[byte]uint64),
		added: make(map[p2p.PeerConn]struct{}),
	}
	r.BaseReactor = *p2p.NewBaseReactor("interop", r)

	return r
}

func (r *reactor) GetChannels() []*conn.ChannelDescriptor { return r.descs }

func (r *reactor) InitPeer(peer p2p.PeerConn) p2p.PeerConn {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.known[peer] = make(map[byte]uint64)

	return peer
}

func (r *reactor) AddPeer(peer p2p.PeerConn) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	// RemovePeer may have been called first, for a peer that ended at once.
	if _, ok := r.known[peer]; !ok {
		return
	}
	r.added[peer] = struct{}{}
	r.out.Report(protocol.Event{
		Event:    protocol.EventPeerUp,
		Peer:     peer.ID().String(),
		Addr:     peer.SocketAddr().String(),
		Outbound: peer.IsOutbound(),
		NodeInfo: describe(peer.NodeInfo()),
	})
}

func (r *reactor) RemovePeer(peer p2p.PeerConn, reason any) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	delete(r.known, peer)
	// EventPeerUp was not sent for a connection that was refused after InitPeer.
	if _, ok := r.added[peer]; !ok {
		return
	}
	delete(r.added, peer)
	e := protocol.Event{Event: protocol.EventPeerDown, Peer: peer.ID().String(), Outbound: peer.IsOutbound()}
	if reason != nil {
		e.Reason = fmt.Sprint(reason)
	}
	r.out.Report(e)
}

func (r *reactor) Receive(chID byte, peer p2p.PeerConn, msg []byte) {
	digest := protocol.DigestOf(msg)
	r.mtx.Lock()
	defer r.mtx.Unlock()
	counts, ok := r.known[peer]
	if !ok {
		return // after RemovePeer
	}
	r.out.Report(protocol.Event{
		Event:   protocol.EventReceived,
		Peer:    peer.ID().String(),
		Channel: chID,
		Length:  digest.Length,
		SHA256:  digest.SHA256,
		Seq:     counts[chID],
	})
	counts[chID]++
}
