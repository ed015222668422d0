package rawsession

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// Stream is a stream to the node. A failed write is no error: what the node has made of it is
// read.
type Stream struct {
	stream   network.Stream
	reader   *bufio.Reader
	patience time.Duration
}

// Send writes bytes as they are.
func (s *Stream) Send(b []byte) {
	_ = s.stream.SetWriteDeadline(time.Now().Add(s.patience)) // fails like the write
	_, _ = s.stream.Write(b)
}

// End ends the stream to the node, which may still send.
func (s *Stream) End() { _ = s.stream.CloseWrite() }

// Reset resets the stream.
func (s *Stream) Reset() { _ = s.stream.Reset() }

// Read reads what the node sends, within the patience.
func (s *Stream) Read(limit int) ([]byte, error) {
	if err := s.stream.SetReadDeadline(time.Now().Add(s.patience)); err != nil {
		return nil, err
	}
	if s.reader == nil {
		s.reader = bufio.NewReader(s.stream)
	}
	size, err := binary.ReadUvarint(s.reader)
	if err != nil {
		return nil, err
	}
	if size > uint64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, size, limit)
	}
	body := make([]byte, size)
	_, err = io.ReadFull(s.reader, body)

	return body, err
}

// Rest waits for the end of what the node sends, and returns an error unless that is a FIN with
// nothing before it.
func (s *Stream) Rest() error {
	if err := s.stream.SetReadDeadline(time.Now().Add(s.patience)); err != nil {
		return err
	}
	var b [1]byte
	n, err := s.stream.Read(b[:])
	switch {
	case n > 0:
		return fmt.Errorf("%w: bytes where none are due", ErrMalformed)
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// ErrMalformed says that the node sends what no node should.
var ErrMalformed = errors.New("malformed")

// IsSilent reports whether the node has neither answered nor ended the stream in time. Multiplexers have
// deadline errors of their own.
func IsSilent(err error) bool {
	var timeout net.Error

	return errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// SetPatience changes how long each wait for the node takes at most.
func (s *Stream) SetPatience(d time.Duration) { s.patience = d }
