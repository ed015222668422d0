package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

// drainLimit bounds the bytes that are read from a stream only to see its end.
const drainLimit = 64 * 1024

// LongAgo as a deadline ends what waits on a stream.
var LongAgo = time.Unix(1, 0)

// Resets, closes and deadlines on the way down are best effort throughout this
// package: where one fails, the stream has ended already, which is what it is for.

// Stream is a libp2p stream whose protocol may still have to be negotiated, which
// then costs no round trip: the first write carries the proposal.
type Stream struct {
	network.Stream
	rw io.ReadWriter

	readErr error // that came with bytes and was not returned yet; of whoever reads
}

// openStream opens a stream on exactly this connection; it never dials.
func Open(ctx context.Context, c network.Conn, proto protocol.ID) (*Stream, error) {
	s, err := c.NewStream(network.WithNoDial(ctx, "sessions do not dial"))
	if err != nil {
		return nil, fmt.Errorf("unable to open a stream: %w", err)
	}
	if err := s.SetProtocol(proto); err != nil {
		return nil, errors.Join(fmt.Errorf("unable to open a stream: %w", err), s.Reset())
	}

	return &Stream{Stream: s, rw: multistream.NewMSSelect(s, proto)}, nil
}

// inboundStream wraps a stream whose protocol the host has negotiated.
func Inbound(s network.Stream) *Stream { return &Stream{Stream: s, rw: s} }

// Read implements io.Reader. The end comes after the last bytes, never with them as
// QUIC's does; so does any other error, which yamux would not tell again. One
// goroutine reads at a time.
func (s *Stream) Read(p []byte) (int, error) {
	if err := s.readErr; err != nil {
		s.readErr = nil

		return 0, err
	}
	n, err := s.rw.Read(p)
	if n > 0 {
		s.readErr = err

		return n, nil
	}

	return n, err
}

// Write implements io.Writer.
func (s *Stream) Write(p []byte) (int, error) { return s.rw.Write(p) }

// Drain reads until the remote has ended its side, but neither past the read
// deadline nor more than drainLimit bytes. What it reads, and how it ends, does
// not matter any more.
func (s *Stream) Drain() { _, _ = io.CopyN(io.Discard, s, drainLimit) }

// IsEnd reports whether the remote has ended its side of a stream. Where a connection
// ends without a word the end of its bytes is told by all streams, too, but as a reset.
func IsEnd(err error) bool { return errors.Is(err, io.EOF) && !errors.Is(err, network.ErrReset) }

// IsTimeout reports whether a deadline caused the error: one of ours, or that of a
// connection whose remote is silent.
func IsTimeout(err error) bool {
	var ne net.Error

	return errors.As(err, &ne) && ne.Timeout()
}
