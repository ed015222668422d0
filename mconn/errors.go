package mconn

import (
	"errors"
	"fmt"
)

// The reasons for which this end drops a connection. They reach onError wrapped;
// those of one channel inside a [ChannelError]. A packet above the size limit
// wraps wire.ErrTooLarge, one that cannot be decoded a *wire.DecodeError, and a
// failure of the net.Conn its own error: io.EOF when the stream ended between
// packets, io.ErrUnexpectedEOF when it ended inside one.
var (
	// ErrUnknownChannel: the peer used a channel that is not registered here.
	ErrUnknownChannel = errors.New("unknown channel")
	// ErrEmptyMessage: the peer completed a message without payload.
	ErrEmptyMessage = errors.New("empty message")
	// ErrMessageTooLarge: a message exceeds the channel's RecvMessageCapacity.
	ErrMessageTooLarge = errors.New("message exceeds the channel's receive capacity")
	// ErrRecvBudget: all unfinished messages exceed MaxRecvBufferBytes.
	ErrRecvBudget = errors.New("unfinished messages exceed the receive budget")
	// ErrAssemblyTimeout: a message was not completed within RecvAssemblyTimeout.
	ErrAssemblyTimeout = errors.New("message not completed in time")
	// ErrPongTimeout: a ping was not answered within PongTimeout.
	ErrPongTimeout = errors.New("mconn: no pong in time")
	// ErrProbeTimeout: the peer was probed and sent nothing within the time.
	ErrProbeTimeout = errors.New("mconn: no sign of life in time")
)

// The reasons for which NewMConnection refuses its arguments.
var (
	// ErrDuplicateChannel: two descriptors have the same ID.
	ErrDuplicateChannel = errors.New("duplicate channel")
	// ErrNilArgument: the conn, a descriptor or a callback is missing.
	ErrNilArgument = errors.New("mconn: nil argument")
)

// errStopped ends a goroutine after Stop; it is never reported.
var errStopped = errors.New("mconn: stopped")

// errDeliveryExited is the reason when onReceive ended its goroutine by
// runtime.Goexit.
var errDeliveryExited = errors.New("mconn: the delivery goroutine was ended by its callback")

// ChannelError is an error of one channel.
type ChannelError struct {
	Channel byte
	Err     error
}

// Error names the channel and the reason.
func (e *ChannelError) Error() string {
	return fmt.Sprintf("mconn: channel %#02x: %v", e.Channel, e.Err)
}

// Unwrap returns the reason.
func (e *ChannelError) Unwrap() error { return e.Err }

// PanicError is a panic of onReceive. It reaches onError inside a
// [ChannelError].
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // of the panicking goroutine
}

// Error contains the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("panic in the receiver: %v\n%s", e.Value, e.Stack)
}

// Unwrap returns the value of the panic when it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)

	return err
}
