package bridge

import (
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// discoveryChannel is answered by the bridge itself (docs/wire.md §6).
const discoveryChannel = 0x50

const (
	// relayQueue is the smallest send queue of a relayed channel, in messages. Some nodes
	// use a queue of one, which would stall all channels of a connection behind each
	// message. MaxSendBufferBytes bounds the memory of all queues.
	relayQueue = 128
	// unknownPriority is the priority of a channel that is not described: in the middle
	// of those of TM2's channels.
	unknownPriority = 5
)

// TM2Channels returns descriptors of the channels of TM2 nodes (docs/wire.md §7). Where
// versions differ they have the capacities of the newest version: a message that the bridge
// lets through, and that is too large for the target, breaks the protocol in the name of the
// bridge there. A network of v1.1.0 with blocks above 8 MiB needs 104857605 for 0x40.
func TM2Channels() []*compat.ChannelDescriptor {
	const mib = 1 << 20

	return []*compat.ChannelDescriptor{
		{ID: 0x20, Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 4096, RecvMessageCapacity: mib},
		{ID: 0x21, Priority: 10, SendQueueCapacity: 100, RecvBufferCapacity: 204800, RecvMessageCapacity: mib},
		{ID: 0x22, Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 10000, RecvMessageCapacity: mib},
		{ID: 0x23, Priority: 1, SendQueueCapacity: 2, RecvBufferCapacity: 1024, RecvMessageCapacity: mib},
		{ID: 0x30, Priority: 5, SendQueueCapacity: 1, RecvBufferCapacity: 4096, RecvMessageCapacity: 21 * mib},
		{ID: 0x40, Priority: 10, SendQueueCapacity: 1000, RecvBufferCapacity: 204800, RecvMessageCapacity: 8454144},
		{ID: discoveryChannel, Priority: 1, SendQueueCapacity: 20, RecvBufferCapacity: 4096, RecvMessageCapacity: 5 * mib},
	}
}

// describe returns descriptors of the channels in a NodeInfo.
func (c Config) describe(channels []byte) []*compat.ChannelDescriptor {
	descs := make([]*compat.ChannelDescriptor, 0, len(channels))
	for _, id := range channels {
		d := compat.ChannelDescriptor{ID: id, Priority: unknownPriority}
		known := slices.IndexFunc(c.Channels, func(d *compat.ChannelDescriptor) bool { return d.ID == id })
		if known >= 0 {
			d = *c.Channels[known]
		}
		d = d.FillDefaults()
		d.SendQueueCapacity = max(d.SendQueueCapacity, relayQueue)
		descs = append(descs, &d)
	}

	return descs
}
