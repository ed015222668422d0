package main

import (
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/scale/process"
)

// channels returns the channels of a CometBFT node that correspond to those of a TM2 node:
// consensus, mempool, block sync and peer exchange.
func channels() []*conn.ChannelDescriptor {
	descriptors := []*conn.ChannelDescriptor{
		{ID: 0x20, Priority: 6, SendQueueCapacity: 100},
		{ID: 0x21, Priority: 10, SendQueueCapacity: 100, RecvBufferCapacity: 50 * 4096},
		{ID: process.ChBroadcast, Priority: 7, SendQueueCapacity: 100, RecvBufferCapacity: 100 * 100},
		{ID: 0x23, Priority: 1, SendQueueCapacity: 2, RecvBufferCapacity: 1024},
		{ID: 0x30, Priority: 5},
		{ID: 0x40, Priority: 5, SendQueueCapacity: 1000, RecvBufferCapacity: 50 * 4096},
		{ID: 0x00, Priority: 1, SendQueueCapacity: 10},
	}
	for _, d := range descriptors {
		d.MessageType = &protomem.Message{}
	}

	return descriptors
}

// reactor tells the observer of peers and messages.
type reactor struct {
	p2p.BaseReactor

	observer *process.Observer
}

func newReactor(o *process.Observer) *reactor {
	r := &reactor{observer: o}
	r.BaseReactor = *p2p.NewBaseReactor("PROBE", r)
	r.SetLogger(log.NewNopLogger())

	return r
}

// GetChannels implements p2p.Reactor.
func (r *reactor) GetChannels() []*conn.ChannelDescriptor { return channels() }

// AddPeer implements p2p.Reactor.
func (r *reactor) AddPeer(p2p.Peer) { r.observer.Change(1) }

// RemovePeer implements p2p.Reactor.
func (r *reactor) RemovePeer(p2p.Peer, any) { r.observer.Change(-1) }

// Receive implements p2p.Reactor.
func (r *reactor) Receive(e p2p.Envelope) {
	if txs, ok := e.Message.(*protomem.Txs); ok && len(txs.Txs) == 1 {
		r.observer.Received(txs.Txs[0])
	}
}
