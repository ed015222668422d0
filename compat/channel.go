package compat

import (
	"errors"
	"fmt"
)

// Defaults of a ChannelDescriptor, as TM2 has them (docs/wire.md §7).
const (
	DefaultSendQueueCapacity   = 1        // messages
	DefaultRecvBufferCapacity  = 4096     // bytes
	DefaultRecvMessageCapacity = 22020096 // bytes, 21 MiB
	MaxChannels                = 16       // channels one NodeInfo may list
	maxRecvMessageCapacity     = 1 << 30  // bytes; above it a descriptor is a mistake
)

// ErrInvalidChannel is wrapped by the errors of ChannelDescriptor.Validate.
var ErrInvalidChannel = errors.New("invalid channel descriptor")

// ChannelDescriptor tells a stack how to treat one channel. A reactor returns
// its descriptors from GetChannels; channel IDs are unique within a switch.
type ChannelDescriptor struct {
	// ID is the byte that names the channel on the wire.
	ID byte
	// Priority is the channel's share of the connection relative to the other
	// channels; it must be positive.
	Priority int
	// SendQueueCapacity is how many messages may wait to be sent; 0 means
	// DefaultSendQueueCapacity.
	SendQueueCapacity int
	// RecvBufferCapacity is a hint in bytes for the first receive buffer; 0
	// means DefaultRecvBufferCapacity. Buffers still grow only as bytes arrive.
	RecvBufferCapacity int
	// RecvMessageCapacity is the largest message in bytes that is accepted; a
	// peer that sends a larger one is disconnected. 0 means
	// DefaultRecvMessageCapacity.
	RecvMessageCapacity int
}

// FillDefaults returns the descriptor with its zero capacities replaced by the
// defaults.
func (d ChannelDescriptor) FillDefaults() ChannelDescriptor {
	if d.SendQueueCapacity == 0 {
		d.SendQueueCapacity = DefaultSendQueueCapacity
	}
	if d.RecvBufferCapacity == 0 {
		d.RecvBufferCapacity = DefaultRecvBufferCapacity
	}
	if d.RecvMessageCapacity == 0 {
		d.RecvMessageCapacity = DefaultRecvMessageCapacity
	}

	return d
}

// Validate reports the first field that no stack can work with. The error wraps
// ErrInvalidChannel.
func (d ChannelDescriptor) Validate() error {
	switch {
	case d.Priority <= 0:
		return fmt.Errorf("%w: channel %#02x: Priority %d is not positive", ErrInvalidChannel, d.ID, d.Priority)
	case d.SendQueueCapacity < 0:
		return fmt.Errorf("%w: channel %#02x: SendQueueCapacity %d is negative", ErrInvalidChannel, d.ID, d.SendQueueCapacity)
	case d.RecvBufferCapacity < 0:
		return fmt.Errorf("%w: channel %#02x: RecvBufferCapacity %d is negative", ErrInvalidChannel, d.ID, d.RecvBufferCapacity)
	case d.RecvMessageCapacity < 0 || d.RecvMessageCapacity > maxRecvMessageCapacity:
		return fmt.Errorf("%w: channel %#02x: RecvMessageCapacity %d is outside 0..%d",
			ErrInvalidChannel, d.ID, d.RecvMessageCapacity, maxRecvMessageCapacity)
	default:
		return nil
	}
}
