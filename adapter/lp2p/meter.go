package lp2p

import (
	"net"

	"github.com/libp2p/go-libp2p/core/network"
)

// meteredMuxer is a yamux whose connections have a backlog.
type meteredMuxer struct{ network.Multiplexer }

// meteredConn is the connection below yamux, which writes one frame at a time.
type meteredConn struct {
	net.Conn
	backlog *backlog
}

// The header of a yamux frame (yamux specification): version, type, flags, stream,
// length.
const (
	yamuxTypeAt   = 1
	yamuxLengthAt = 8
	yamuxData     = 0
)

// meteredMux gives its backlog to whoever asks by As.
type meteredMux struct {
	network.MuxedConn
	backlog *backlog
}

// meteredStream counts what it queues.
type meteredStream struct {
	network.MuxedStream
	backlog *backlog
}
