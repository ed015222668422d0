package mconn

import (
	"errors"
	"fmt"
)

// The reasons for which a connection ends with an error. They reach onError
// wrapped, those of one channel inside a [ChannelError]. Other errors wrap
// wire.ErrTooLarge when a packet exceeds the size limit, a *wire.DecodeError when
// it cannot be decoded, and otherwise the error of the net.Conn. The end of the
// stream is io.EOF between packets and io.ErrUnexpectedEOF inside one.
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
	// ErrProbeTimeout: the peer sent no packet within the timeout of ProbeAlive.
	ErrProbeTimeout = errors.New("mconn: no packet in time after a probe")
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

// errDeliveryExited is the error of a connection whose onReceive called
// runtime.Goexit.
var errDeliveryExited = errors.New("mconn: onReceive ended the delivery goroutine")

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

// PanicError is a recovered panic of onReceive. It reaches onError inside a
// [ChannelError].
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // of the panicking goroutine
}

// Error contains the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("panic in onReceive: %v\n%s", e.Value, e.Stack)
}

// Unwrap returns the value of the panic if it is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)

	return err
}
