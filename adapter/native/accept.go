package native

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// Accept implements compat.Transport. If the behavior is a compat.ConnAdmission, it is
// asked about each connection from the first call on, before the handshake; if it is a
// compat.ConnReservation, it says which of them have places of their own; if it is a
// compat.PeerAdmission, it is asked about each verified remote.
func (mt *MultiplexTransport) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	mt.guard.Ask(behavior)
	admission, _ := behavior.(compat.PeerAdmission)
	for {
		pending, err := mt.acceptPending(ctx)
		if err != nil {
			return nil, err
		}
		if admission != nil && admission.AdmitPeer(pending.connInfo(behavior), pending.NodeInfo()) != nil {
			pending.close() // the switch logs and tells why

			continue
		}

		return mt.newPeer(pending, behavior)
	}
}

// acceptLoop takes connections until the listener is closed. Each goes through
// its handshake on a goroutine of its own.
func (mt *MultiplexTransport) acceptLoop(listener net.Listener) {
	socket.Accept(mt.ctx, listener, func(conn net.Conn) {
		if mt.proxies.Contain(conn.RemoteAddr()) {
			mt.admitProxied(conn)
		} else {
			mt.admit(conn)
		}
	}, func(retryIn time.Duration, err error) {
		mt.inbound.Event(slog.LevelWarn, netip.Addr{}, "unable to accept a connection", "system",
			"address", listener.Addr(), "retry_in", retryIn, "err", err)
	})
}

// admit starts the handshake of an inbound connection, unless the switch would refuse
// every peer from there, or there is no place for another handshake.
func (mt *MultiplexTransport) admit(conn net.Conn) {
	ip := netgroup.FromAddr(conn.RemoteAddr())
	var err error
	if !mt.proxies.Contain(conn.RemoteAddr()) { // else it is a proxy's own, as a health check
		err = mt.guard.Check(ip)
	}
	if err != nil {
		mt.inbound.Event(slog.LevelInfo, ip, "inbound connection refused before its handshake", refusal(err),
			"address", conn.RemoteAddr(), "err", err)
		mt.closeConn(conn)

		return
	}
	if p := mt.takePlace(conn); p != nil {
		mt.wg.Go(func() { mt.handshakeInbound(conn, p) })
	}
}

// takePlace takes a place for the connection. If there is none, it closes the
// connection and returns nil.
func (mt *MultiplexTransport) takePlace(conn net.Conn) *places.Place {
	ip := netgroup.FromAddr(conn.RemoteAddr())
	p, err := mt.places.Take(ip, mt.guard.Reserves(ip), func() { mt.closeConn(conn) })
	if err != nil {
		mt.inbound.Event(slog.LevelWarn, ip, "inbound connection refused", "no place", "address", conn.RemoteAddr(), "err", err)
		mt.closeConn(conn)

		return nil
	}

	return p
}

// handshakeInbound queues the connection for Accept once it is verified. Accept gives
// its place back.
func (mt *MultiplexTransport) handshakeInbound(raw net.Conn, p place) {
	conn := &placedConn{Conn: raw, place: p}
	pending, err := mt.upgrade(mt.ctx, conn, nil)
	if !p.Settle() {
		err = errors.Join(errEvicted, err)
	}
	if err != nil {
		p.Leave()
		mt.inbound.Event(slog.LevelInfo, netgroup.FromAddr(raw.RemoteAddr()), "inbound handshake failed",
			failedStep(err, conn.silent()), "address", raw.RemoteAddr(), "err", err)
		mt.closeConn(raw)

		return
	}
	pending.leave = func() { p.Leave() }

	select {
	case mt.incoming <- pending:
	case <-mt.ctx.Done():
		p.Leave()
		mt.closeConn(raw)
	}
}

func (mt *MultiplexTransport) closeConn(conn net.Conn) {
	if err := ignoreClosed(conn.Close()); err != nil {
		mt.logger.Debug("connection closed with an error", "address", conn.RemoteAddr(), "err", err)
	}
}

func (mt *MultiplexTransport) acceptPending(ctx context.Context) (*Pending, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-mt.ctx.Done():
	case pending, ok := <-mt.incoming:
		if ok {
			pending.leave()

			return pending, nil
		}
	}

	return nil, compat.ErrTransportClosed
}
