package mconn

import (
	"fmt"
	"sync/atomic"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// channel is one channel of a connection.
type channel struct {
	desc compat.ChannelDescriptor

	// Guarded by MConnection.mu.
	queue   queue
	waiting []*waiter

	// size is written under MConnection.mu, recentlySent by the writer.
	size         atomic.Int64 // messages queued or being sent
	recentlySent atomic.Int64 // bytes, decaying

	// Owned by the writer.
	sending     []byte // rest of the message being sent; nil: none
	sendingSize int    // length of the whole message, in bytes

	// Owned by the reader.
	assembly assembly
}

// newChannels checks and copies the descriptors. It keeps their order.
func newChannels(descs []*compat.ChannelDescriptor) ([]*channel, error) {
	channels := make([]*channel, 0, len(descs))
	seen := make(map[byte]bool, len(descs))

	for _, desc := range descs {
		if desc == nil {
			return nil, fmt.Errorf("%w: channel descriptor", ErrNilArgument)
		}

		if err := desc.Validate(); err != nil {
			return nil, err
		}

		if seen[desc.ID] {
			return nil, &ChannelError{Channel: desc.ID, Err: ErrDuplicateChannel}
		}

		seen[desc.ID] = true
		filled := desc.FillDefaults()
		channels = append(channels, &channel{desc: filled, queue: queue{limit: filled.SendQueueCapacity}})
	}

	return channels, nil
}

// packetSize returns the size of the next packet of the message being sent.
func (ch *channel) packetSize(maxPayload int) int {
	return wire.MsgSize(ch.desc.ID, len(ch.sending) <= maxPayload, min(len(ch.sending), maxPayload))
}

// appendPacket appends the next packet of the message being sent and adds its
// size to recentlySent. last reports whether it completes the message.
func (ch *channel) appendPacket(dst []byte, maxPayload int) (packets []byte, last bool) {
	payload := ch.sending
	if last = len(payload) <= maxPayload; !last {
		payload = payload[:maxPayload]
	}

	packets = wire.AppendMsg(dst, ch.desc.ID, last, payload)
	ch.sending = ch.sending[len(payload):]
	ch.recentlySent.Store(ch.recentlySent.Load() + int64(len(packets)-len(dst)))

	return packets, last
}
