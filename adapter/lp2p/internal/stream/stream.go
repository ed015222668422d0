package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

// drainLimit bounds the bytes that are read from a stream only to see its end.
const drainLimit = 64 * 1024

// LongAgo is a deadline that ends all calls that wait on a stream.
var LongAgo = time.Unix(1, 0)

// Stream is a libp2p stream whose protocol may be negotiated lazily: then the first write
// carries the proposal, which costs no round trip.
type Stream struct {
	network.Stream
	rw io.ReadWriter

	readErr error // came with bytes, and is returned by the next Read
}

// Open opens a stream on exactly this connection; it never dials.
func Open(ctx context.Context, c network.Conn, proto protocol.ID) (*Stream, error) {
	s, err := c.NewStream(network.WithNoDial(ctx, "sessions do not dial"))
	if err != nil {
		return nil, fmt.Errorf("unable to open a stream: %w", sendFailure(err, c.IsClosed()))
	}
	if err := s.SetProtocol(proto); err != nil {
		return nil, errors.Join(fmt.Errorf("unable to open a stream: %w", err), s.Reset())
	}

	return &Stream{Stream: s, rw: multistream.NewMSSelect(s, proto)}, nil
}

// OpenTo opens a stream on any connection to a peer; it never dials.
func OpenTo(ctx context.Context, h host.Host, p peer.ID, proto protocol.ID) (*Stream, error) {
	s, err := h.NewStream(network.WithNoDial(ctx, "the caller has connected"), p, proto)
	if err != nil {
		connected := h.Network().Connectedness(p) == network.Connected

		return nil, fmt.Errorf("unable to open a stream: %w", failure(err, !connected))
	}

	return Inbound(s), nil
}

// Inbound wraps a stream whose protocol the host negotiates.
func Inbound(s network.Stream) *Stream { return &Stream{Stream: s, rw: s} }

// Read implements io.Reader; see failure for its errors. It returns bytes or an error, never
// both as QUIC does: an error that came with bytes is returned by the next call, since
// yamux does not return all errors twice. One goroutine reads at a time.
func (s *Stream) Read(p []byte) (int, error) {
	if err := s.readErr; err != nil {
		s.readErr = nil

		return 0, err
	}
	n, err := s.rw.Read(p)
	if n > 0 && err == io.EOF && s.Conn().IsClosed() {
		// Yamux was unable to tell the remote that these bytes were read, since the connection has
		// ended. This is not the end of the stream, and there may be more bytes.
		return n, nil
	}
	if err != nil {
		err = failure(err, s.Conn().IsClosed())
	}
	if n > 0 {
		s.readErr = err

		return n, nil
	}

	return n, err
}

// Write implements io.Writer; see failure for its errors.
func (s *Stream) Write(p []byte) (int, error) {
	n, err := s.rw.Write(p)
	if err != nil {
		err = sendFailure(err, s.Conn().IsClosed())
	}

	return n, err
}

// CloseWrite implements network.Stream; see failure for its errors.
func (s *Stream) CloseWrite() error {
	err := s.Stream.CloseWrite()
	if err != nil {
		err = sendFailure(err, s.Conn().IsClosed())
	}

	return err
}

// Drain reads and discards until the remote has ended its side, until the read deadline, or
// until drainLimit bytes.
func (s *Stream) Drain() { _, _ = io.CopyN(io.Discard, s, drainLimit) }
