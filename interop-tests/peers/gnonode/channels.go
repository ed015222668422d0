package gnonode

import (
	"fmt"

	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
)

// blockchainChannel is the channel whose capacity depends on the release.
const blockchainChannel = 0x40

// realChannels are the descriptors of a real node's reactors (docs/wire.md §7).
var realChannels = map[byte]conn.ChannelDescriptor{
	0x20:              {Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 4096, RecvMessageCapacity: 1 << 20},
	0x21:              {Priority: 10, SendQueueCapacity: 100, RecvBufferCapacity: 50 * 4096, RecvMessageCapacity: 1 << 20},
	0x22:              {Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 10000, RecvMessageCapacity: 1 << 20},
	0x23:              {Priority: 1, SendQueueCapacity: 2, RecvBufferCapacity: 1024, RecvMessageCapacity: 1 << 20},
	0x30:              {Priority: 5},
	blockchainChannel: {Priority: 10, SendQueueCapacity: 1000, RecvBufferCapacity: 50 * 4096},
	0x50:              {Priority: 1, SendQueueCapacity: 20, RecvMessageCapacity: 5242880},
}

func descriptors(ids []byte, release Release) ([]*conn.ChannelDescriptor, error) {
	descs := make([]*conn.ChannelDescriptor, 0, len(ids))
	for _, id := range ids {
		desc, ok := realChannels[id]
		if !ok {
			return nil, fmt.Errorf("no real reactor has channel %#02x", id)
		}
		desc.ID = id
		if id == blockchainChannel {
			desc.RecvMessageCapacity = release.BlockchainCapacity
		}
		descs = append(descs, &desc)
	}

	return descs, nil
}
