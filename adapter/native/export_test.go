package native

import (
	"context"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
)

// WithHandshakeTimeout is for tests in which a handshake is to succeed however busy
// the machine is.
func WithHandshakeTimeout(d time.Duration) Option { return leeway.Handshake(d).(Option) }

// WithNameInterval sets how often the node's own host name is looked up.
func WithNameInterval(d time.Duration) Option {
	return func(mt *MultiplexTransport) { mt.interval = d }
}

// Connect makes a peer of a connection that a test has opened to the address.
func (mt *MultiplexTransport) Connect(
	ctx context.Context, conn net.Conn, addr types.NetAddress, b compat.PeerBehavior,
) (compat.PeerConn, error) {
	pending, err := mt.upgrade(ctx, conn, &addr)
	if err != nil {
		return nil, err
	}

	return mt.newPeer(pending, b)
}
