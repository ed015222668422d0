package scale

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/scale/process"
)

// newNode makes a switch of package cluster, or a boundNode.
func newNode(c process.Config, o *process.Observer) (process.Node, error) {
	if _, ok := boundSizes[c.Stack]; ok {
		return newBound(c, o)
	}

	return probe.NewSwitch(probe.Config{
		Stack: c.Stack, Key: c.Key, Listen: c.Listen, Dial: c.Dial, MaxInbound: c.MaxInbound,
	}, newReactor(o))
}

// channels returns the channels of a gno.land node: consensus, mempool, block sync and
// discovery.
func channels() []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{
		{ID: 0x20, Priority: 5, SendQueueCapacity: 100},
		{ID: 0x21, Priority: 10, SendQueueCapacity: 100, RecvBufferCapacity: 50 * 4096},
		{ID: process.ChBroadcast, Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 100 * 100},
		{ID: 0x23, Priority: 1, SendQueueCapacity: 2, RecvBufferCapacity: 1024},
		{ID: 0x30, Priority: 5},
		{ID: 0x40, Priority: 10, SendQueueCapacity: 1000, RecvBufferCapacity: 50 * 4096},
		{ID: 0x50, Priority: 1, SendQueueCapacity: 20},
	}
}

// reactor tells the observer of peers and messages.
type reactor struct {
	p2p.BaseReactor

	observer *process.Observer
}

func newReactor(o *process.Observer) *reactor {
	r := &reactor{observer: o}
	r.BaseReactor = *p2p.NewBaseReactor("Probe", r)

	return r
}

// GetChannels implements p2p.Reactor.
func (r *reactor) GetChannels() []*conn.ChannelDescriptor { return channels() }

// AddPeer implements p2p.Reactor.
func (r *reactor) AddPeer(p2p.PeerConn) { r.observer.Change(1) }

// RemovePeer implements p2p.Reactor.
func (r *reactor) RemovePeer(p2p.PeerConn, any) { r.observer.Change(-1) }

// Receive implements p2p.Reactor.
func (r *reactor) Receive(_ byte, _ p2p.PeerConn, msg []byte) { r.observer.Received(msg) }
