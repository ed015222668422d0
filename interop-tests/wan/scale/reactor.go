package scale

import (
	"sync"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
)

// chBroadcast is the channel of broadcasts: that of votes.
const chBroadcast byte = 0x22

// channels returns the channels of a gno.land node: consensus, mempool, block sync and
// discovery.
func channels() []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{
		{ID: 0x20, Priority: 5, SendQueueCapacity: 100},
		{ID: 0x21, Priority: 10, SendQueueCapacity: 100, RecvBufferCapacity: 50 * 4096},
		{ID: chBroadcast, Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 100 * 100},
		{ID: 0x23, Priority: 1, SendQueueCapacity: 2, RecvBufferCapacity: 1024},
		{ID: 0x30, Priority: 5},
		{ID: 0x40, Priority: 10, SendQueueCapacity: 1000, RecvBufferCapacity: 50 * 4096},
		{ID: 0x50, Priority: 1, SendQueueCapacity: 20},
	}
}

// reactor counts peers and passes on messages.
type reactor struct {
	p2p.BaseReactor

	on      func(msg []byte) // nil drops messages
	changed func(peers int)  // called with each change; nil if nobody listens

	mtx   sync.Mutex
	peers int
}

func newReactor(on func([]byte), changed func(int)) *reactor {
	r := &reactor{on: on, changed: changed}
	r.BaseReactor = *p2p.NewBaseReactor("Probe", r)

	return r
}

// GetChannels implements p2p.Reactor.
func (r *reactor) GetChannels() []*conn.ChannelDescriptor { return channels() }

// AddPeer implements p2p.Reactor.
func (r *reactor) AddPeer(p2p.PeerConn) { r.change(1) }

// RemovePeer implements p2p.Reactor.
func (r *reactor) RemovePeer(p2p.PeerConn, any) { r.change(-1) }

// Receive implements p2p.Reactor.
func (r *reactor) Receive(_ byte, _ p2p.PeerConn, msg []byte) {
	if r.on != nil {
		r.on(msg)
	}
}

func (r *reactor) change(by int) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.peers += by
	if r.changed != nil {
		r.changed(r.peers)
	}
}

func (r *reactor) count() int {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return r.peers
}
