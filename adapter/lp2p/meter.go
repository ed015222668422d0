package lp2p

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
)

// meteredMuxer is a yamux whose connections have a backlog, and windows that grow without a
// loss.
type meteredMuxer struct{ config *yamux.Transport }

// NewConn implements network.Multiplexer.
func (m meteredMuxer) NewConn(nc net.Conn, isServer bool, scope network.PeerScope) (network.MuxedConn, error) {
	below := &meteredConn{Conn: nc, backlog: new(backlog), windows: newWindows()}
	if tuned, ok := nc.(*tunedConn); ok {
		below.backlog.drain = tuned.drain
	}
	config := *m.config
	config.KeepAliveInterval = unlikeTheRemote(config.KeepAliveInterval)
	c, err := config.NewConn(below, isServer, scope)
	if err != nil {
		return nil, err
	}

	return &meteredMux{MuxedConn: c, below: below}, nil
}

// unlikeTheRemote returns a random time from three quarters of interval on. Both ends of a
// connection would else ping each other at the same moment, since a ping of either begins the
// interval of both, and a node would ping all its peers at once.
func unlikeTheRemote(interval time.Duration) time.Duration {
	return interval - rand.N(max(1, interval/4))
}

// The header of a yamux frame (yamux specification) is version, type, flags, stream,
// length.
const (
	yamuxHeader   = 12
	yamuxTypeAt   = 1
	yamuxFlagsAt  = 2
	yamuxStreamAt = 4
	yamuxLengthAt = 8

	yamuxData         = 0
	yamuxWindowUpdate = 1
)

// meteredConn is the connection below yamux. It takes the data frames off the backlog, and
// mends window updates; yamux writes one frame at a time.
type meteredConn struct {
	net.Conn
	backlog *backlog
	windows *windows
}

// Write implements net.Conn.
func (c *meteredConn) Write(frame []byte) (int, error) {
	n, err := c.Conn.Write(c.windows.mend(frame))
	if len(frame) >= yamuxHeader && frame[yamuxTypeAt] == yamuxData {
		c.backlog.drain.Follow(n)
		c.backlog.written(int(binary.BigEndian.Uint32(frame[yamuxLengthAt:])))
	}

	return n, err
}

// meteredMux returns its backlog from As.
type meteredMux struct {
	network.MuxedConn
	below *meteredConn
}

// As implements network.MuxedConn.
func (m *meteredMux) As(target any) bool {
	if b, ok := target.(**backlog); ok {
		*b = m.below.backlog

		return true
	}

	return m.MuxedConn.As(target)
}

// OpenStream implements network.MuxedConn.
func (m *meteredMux) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	return m.metered(m.MuxedConn.OpenStream(ctx))
}

// AcceptStream implements network.MuxedConn.
func (m *meteredMux) AcceptStream() (network.MuxedStream, error) {
	return m.metered(m.MuxedConn.AcceptStream())
}

func (m *meteredMux) metered(s network.MuxedStream, err error) (network.MuxedStream, error) {
	if err != nil {
		return nil, err
	}

	id, ok := streamID(s)
	if ok {
		m.below.windows.begin(id)
	}

	return &meteredStream{MuxedStream: s, id: id, below: m.below}, nil
}

// meteredStream adds what it queues to the backlog, and reads little at a time.
type meteredStream struct {
	network.MuxedStream
	id    uint32 // 0: unknown
	below *meteredConn
}

// Read implements network.MuxedStream.
func (s *meteredStream) Read(p []byte) (int, error) {
	return s.MuxedStream.Read(p[:min(len(p), maxRead)])
}

// Write implements network.MuxedStream. It writes at most one frame at a time, so that
// each is counted before the next is queued.
func (s *meteredStream) Write(p []byte) (int, error) {
	written := 0
	for {
		n, err := s.MuxedStream.Write(p[written:min(len(p), written+maxFrame-yamuxHeader)])
		s.below.backlog.bytes.Add(int64(n))
		if written += n; err != nil || written == len(p) {
			return written, err
		}
	}
}

// CloseRead implements network.MuxedStream.
func (s *meteredStream) CloseRead() error {
	s.below.windows.end(s.id)

	return s.MuxedStream.CloseRead()
}

// Close implements network.MuxedStream.
func (s *meteredStream) Close() error {
	s.below.windows.end(s.id)

	return s.MuxedStream.Close()
}

// Reset implements network.MuxedStream.
func (s *meteredStream) Reset() error {
	s.below.windows.end(s.id)

	return s.MuxedStream.Reset()
}

// ResetWithError implements network.MuxedStream.
func (s *meteredStream) ResetWithError(code network.StreamErrorCode) error {
	s.below.windows.end(s.id)

	return s.MuxedStream.ResetWithError(code)
}
