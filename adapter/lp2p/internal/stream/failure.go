package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multistream"
)

// ErrUnsupported is wrapped by the error of a stream whose protocol the remote does not
// support.
var ErrUnsupported = errors.New("protocol is not supported")

// ConnError is the failure of the connection below a stream, for which neither side
// of the stream is to blame. It implements net.Error.
type ConnError struct {
	TimedOut bool // the remote was silent for too long
	Err      error
}

// Error says that it was the connection.
func (e *ConnError) Error() string { return "connection ended: " + e.Err.Error() }

// Unwrap returns the error of libp2p.
func (e *ConnError) Unwrap() error { return e.Err }

// Timeout reports whether the remote was silent for too long.
func (e *ConnError) Timeout() bool { return e.TimedOut }

// Temporary implements net.Error: a connection that has failed stays so.
func (*ConnError) Temporary() bool { return false }

// failure classifies libp2p's error of a stream. It returns io.EOF itself for the end of
// the remote's side, a *network.StreamError for a reset, after which the connection may
// live on, a *ConnError, or an error that wraps ErrUnsupported or, for a deadline of the
// stream, os.ErrDeadlineExceeded. connClosed says whether the connection is closed.
//
// The muxers differ. The error of a failed QUIC connection wraps net.ErrClosed, and may
// come before the connection counts as closed, as may the swarm's error when this node
// closes it. A failed yamux connection resets its streams with its own error, which may be
// io.EOF or a timeout.
func failure(err error, connClosed bool) error {
	// Every session ends with one of these, most of them without a look into the tree.
	switch e := err.(type) {
	case nil:
		return nil
	case *network.ConnError:
		return &ConnError{TimedOut: timedOut(err), Err: e}
	}
	if err == io.EOF || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if is[multistream.ErrNotSupported[protocol.ID]](err) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	reset, ok := errors.AsType[*network.StreamError](err)
	switch {
	case ok && (reset.Remote || !connClosed): // closing it resets the streams here
		if reset.Remote && reset.ErrorCode == network.StreamProtocolNegotiationFailed {
			err = fmt.Errorf("%w: %w", ErrUnsupported, err)
		}

		return err
	case connClosed, is[*network.ConnError](err), errors.Is(err, net.ErrClosed), errors.Is(err, network.ErrNoConn),
		errors.Is(err, swarm.ErrConnClosed):
		return &ConnError{TimedOut: timedOut(err), Err: err}
	case errors.Is(err, network.ErrReset): // some implementations of yamux send no code
		return &network.StreamError{Remote: true, TransportError: err}
	case timedOut(err) && !errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", os.ErrDeadlineExceeded, err)
	default:
		return err
	}
}

// is reports whether an error of the type is in the tree.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)

	return ok
}

// sendFailure is failure for calls other than Read, where io.EOF means the end of the
// connection.
func sendFailure(err error, connClosed bool) error {
	if errors.Is(err, io.EOF) && !errors.Is(err, network.ErrReset) {
		return &ConnError{Err: err}
	}

	return failure(err, connClosed)
}

// timedOut reports whether any error in the tree is a timeout. errors.As would look only at
// the first error with a method Timeout.
func timedOut(err error) bool {
	if t, ok := err.(interface{ Timeout() bool }); ok && t.Timeout() {
		return true
	}
	switch wrapping := err.(type) {
	case interface{ Unwrap() error }:
		return timedOut(wrapping.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(wrapping.Unwrap(), timedOut)
	default:
		return false
	}
}

// IsEnd reports whether the remote has ended its side of a stream.
func IsEnd(err error) bool {
	return errors.Is(err, io.EOF) && !errors.Is(err, network.ErrReset) && !IsLost(err)
}

// IsLost reports whether the connection below a stream has failed.
func IsLost(err error) bool { return is[*ConnError](err) }

// IsResetWith reports whether the remote has reset a stream with one of the codes.
func IsResetWith(err error, codes ...network.StreamErrorCode) bool {
	reset, ok := errors.AsType[*network.StreamError](err)

	return ok && reset.Remote && slices.Contains(codes, reset.ErrorCode)
}
