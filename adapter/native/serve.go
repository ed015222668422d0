package native

import (
	"context"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// ServeAt takes the place of Listen if another listener accepts the connections, at the IP
// and port of the address, and passes them to Serve. It opens no listener, so the port must
// not be 0. It returns the errors of Listen that do not come from a socket.
func (mt *MultiplexTransport) ServeAt(addr types.NetAddress) error {
	mt.mtx.Lock()
	defer mt.mtx.Unlock()
	if mt.ctx.Err() != nil {
		return compat.ErrTransportClosed
	}
	if mt.listens {
		return compat.ErrAlreadyListening
	}
	addr.ID = mt.nodeKey.ID()

	return mt.listenAt(addr)
}

// Serve makes a peer for Accept of a connection that a remote has opened. It owns the
// connection. It returns when Accept has taken the peer, after a failure, which it logs, or
// when the transport closes. It calls settle once the remote has proved its ID; settle
// returns false if the connection was closed meanwhile to make room. When the context ends
// before Accept has taken the peer, it closes the connection. The caller bounds what it
// serves at once, and asks the compat.ConnAdmission: HandshakeLimits and WithProxyProtocol
// have no effect here. Serve may be called concurrently.
func (mt *MultiplexTransport) Serve(ctx context.Context, conn net.Conn, settle func() bool) {
	if err := mt.begin(); err != nil {
		mt.logger.Debug("connection is not served", "address", conn.RemoteAddr(), "err", err)
		mt.closeConn(conn)

		return
	}
	defer mt.wg.Done()
	stop := context.AfterFunc(ctx, func() { mt.closeConn(conn) })
	defer stop()
	p := servedPlace{settle: settle, left: make(chan struct{}, 1)}
	mt.handshakeInbound(conn, p)
	select {
	case <-p.left:
	case <-mt.ctx.Done():
	case <-ctx.Done():
	}
}

// servedPlace is a place that the caller of Serve holds.
type servedPlace struct {
	settle func() bool
	left   chan struct{}
}

func (servedPlace) Speak() {}

func (p servedPlace) Settle() bool { return p.settle() }

func (p servedPlace) Leave() (taken bool) {
	select {
	case p.left <- struct{}{}:
	default: // a second call
	}

	return false
}
