package compat

import (
	"cmp"
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

// ChannelDescriptor tells a stack how to treat one channel. Channel IDs are unique within a
// switch.
type ChannelDescriptor struct {
	// ID is the byte that names the channel on the wire.
	ID byte
	// Priority is the channel's share of the connection relative to the other
	// channels; it must be positive.
	Priority int
	// SendQueueCapacity is how many messages may wait to be sent; 0 means
	// DefaultSendQueueCapacity.
	SendQueueCapacity int
	// RecvBufferCapacity is TM2's size of the first receive buffer in bytes; 0 means
	// DefaultRecvBufferCapacity. The stacks of this module do not need it: their buffers
	// grow as bytes arrive.
	RecvBufferCapacity int
	// RecvMessageCapacity is the size of the largest message in bytes. A peer that sends
	// a larger one is disconnected. 0 means DefaultRecvMessageCapacity.
	RecvMessageCapacity int
}

// FillDefaults returns the descriptor with the defaults in place of zero capacities.
func (d ChannelDescriptor) FillDefaults() ChannelDescriptor {
	d.SendQueueCapacity = cmp.Or(d.SendQueueCapacity, DefaultSendQueueCapacity)
	d.RecvBufferCapacity = cmp.Or(d.RecvBufferCapacity, DefaultRecvBufferCapacity)
	d.RecvMessageCapacity = cmp.Or(d.RecvMessageCapacity, DefaultRecvMessageCapacity)

	return d
}

// Validate reports the first field that no stack can use. The error wraps ErrInvalidChannel.
func (d ChannelDescriptor) Validate() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("%w: channel %#02x: %s", ErrInvalidChannel, d.ID, fmt.Sprintf(format, args...))
	}
	switch {
	case d.Priority <= 0:
		return invalid("Priority %d is not positive", d.Priority)
	case d.SendQueueCapacity < 0:
		return invalid("SendQueueCapacity %d is negative", d.SendQueueCapacity)
	case d.RecvBufferCapacity < 0:
		return invalid("RecvBufferCapacity %d is negative", d.RecvBufferCapacity)
	case d.RecvMessageCapacity < 0 || d.RecvMessageCapacity > maxRecvMessageCapacity:
		return invalid("RecvMessageCapacity %d is outside 0..%d", d.RecvMessageCapacity, maxRecvMessageCapacity)
	default:
		return nil
	}
}
