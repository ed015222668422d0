package lp2p

import (
	"context"
	"encoding/binary"
	"net"

	"github.com/libp2p/go-libp2p/core/network"
)

// meteredMuxer is a yamux whose connections have a backlog.
type meteredMuxer struct{ network.Multiplexer }

// NewConn implements network.Multiplexer.
func (m meteredMuxer) NewConn(nc net.Conn, isServer bool, scope network.PeerScope) (network.MuxedConn, error) {
	b := new(backlog)
	c, err := m.Multiplexer.NewConn(&meteredConn{Conn: nc, backlog: b}, isServer, scope)
	if err != nil {
		return nil, err
	}

	return &meteredMux{MuxedConn: c, backlog: b}, nil
}

// The header of a yamux frame (yamux specification) is version, type, flags, stream,
// length.
const (
	yamuxHeader   = 12
	yamuxTypeAt   = 1
	yamuxLengthAt = 8
	yamuxData     = 0
)

// meteredConn is the connection below yamux. It takes the data frames off the backlog;
// yamux writes one frame at a time.
type meteredConn struct {
	net.Conn
	backlog *backlog
}

// Write implements net.Conn.
func (c *meteredConn) Write(frame []byte) (int, error) {
	n, err := c.Conn.Write(frame)
	if len(frame) >= yamuxHeader && frame[yamuxTypeAt] == yamuxData {
		c.backlog.written(int(binary.BigEndian.Uint32(frame[yamuxLengthAt:])))
	}

	return n, err
}

// meteredMux returns its backlog from As.
type meteredMux struct {
	network.MuxedConn
	backlog *backlog
}

// As implements network.MuxedConn.
func (m *meteredMux) As(target any) bool {
	if b, ok := target.(**backlog); ok {
		*b = m.backlog

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

	return &meteredStream{MuxedStream: s, backlog: m.backlog}, nil
}

// meteredStream adds what it queues to the backlog.
type meteredStream struct {
	network.MuxedStream
	backlog *backlog
}

// Write implements network.MuxedStream. It writes at most one frame at a time, so that
// each is counted before the next is queued.
func (s *meteredStream) Write(p []byte) (int, error) {
	written := 0
	for {
		n, err := s.MuxedStream.Write(p[written:min(len(p), written+maxFrame-yamuxHeader)])
		s.backlog.bytes.Add(int64(n))
		if written += n; err != nil || written == len(p) {
			return written, err
		}
	}
}
