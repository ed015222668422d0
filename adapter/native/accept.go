package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// Accept implements compat.Transport. If the behavior is a compat.ConnAdmission, it is
// asked about each connection from the first call on, before the handshake; if it is a
// compat.PeerAdmission, it is asked about each verified remote.
func (mt *MultiplexTransport) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	mt.guard.ask(behavior)
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
	var delay time.Duration
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			delay = min(max(2*delay, 5*time.Millisecond), maxAcceptDelay)
			mt.logger.Warn("unable to accept a connection", "address", listener.Addr(), "retry_in", delay, "err", err)
			if !task.Sleep(mt.ctx, delay) {
				return
			}

			continue
		}
		delay = 0
		if mt.fromProxy(conn) {
			mt.admitProxied(conn)
		} else {
			mt.admit(conn)
		}
	}
}

// admit starts the handshake of an inbound connection, unless the switch would refuse
// every peer from there, or there is no place for another handshake.
func (mt *MultiplexTransport) admit(conn net.Conn) {
	if again, err := mt.guard.check(netgroup.FromAddr(conn.RemoteAddr()).AsSlice()); err != nil {
		level := slog.LevelInfo
		if again {
			level = slog.LevelDebug
		}
		mt.logger.Log(mt.ctx, level, "inbound connection refused before its handshake", "address", conn.RemoteAddr(), "err", err)
		mt.closeConn(conn)

		return
	}
	if p := mt.takePlace(conn); p != nil {
		mt.wg.Go(func() { mt.handshakeInbound(p) })
	}
}

// takePlace takes a place for the connection. If there is none, it closes the
// connection and returns nil.
func (mt *MultiplexTransport) takePlace(conn net.Conn) *place {
	p, evicted, err := mt.places.take(conn)
	if err != nil {
		mt.full.log(mt.logger, slog.LevelWarn, "inbound connection refused", "address", conn.RemoteAddr(), "err", err)
		mt.closeConn(conn)

		return nil
	}
	if evicted != nil {
		mt.closeConn(evicted.conn)
	}

	return p
}

// handshakeInbound queues the connection for Accept once it is verified. Accept gives
// its place back.
func (mt *MultiplexTransport) handshakeInbound(p *place) {
	conn := &placedConn{Conn: p.conn, place: p}
	pending, err := mt.upgrade(mt.ctx, conn, nil)
	if err != nil {
		if p.leave() {
			err = fmt.Errorf("%w: %w", errEvicted, err)
		}
		log := mt.logger.Info
		if _, foreign := errors.AsType[*compat.ForeignError](err); foreign || conn.silent() {
			log = func(msg string, args ...any) { mt.visitors.logInfo(mt.logger, msg, args...) }
		}
		log("inbound handshake failed", "address", p.conn.RemoteAddr(), "err", err)
		mt.closeConn(p.conn)

		return
	}
	pending.leave = func() { p.leave() }

	select {
	case mt.incoming <- pending:
	case <-mt.ctx.Done():
		p.leave()
		mt.closeConn(p.conn)
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

// guard asks the switch whether an inbound connection is worth a handshake. The zero
// value admits all. All methods may be called concurrently.
type guard struct {
	mtx       sync.Mutex
	admission compat.ConnAdmission // nil: admit all
	refusing  bool                 // the last connection was refused
	refused   uint64
}

// ask sets who decides from now on.
func (g *guard) ask(behavior compat.PeerBehavior) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	g.admission, _ = behavior.(compat.ConnAdmission)
}

// check returns why a connection from the IP is refused, or nil. again reports whether
// the connection before it was refused, too.
func (g *guard) check(ip net.IP) (again bool, err error) {
	g.mtx.Lock()
	admission := g.admission
	g.mtx.Unlock()
	if admission == nil {
		return false, nil
	}
	err = admission.AdmitConn(ip)

	g.mtx.Lock()
	defer g.mtx.Unlock()
	again, g.refusing = g.refusing, err != nil
	if err != nil {
		g.refused++
	}

	return again, err
}

// ConnsRefused counts the inbound connections that were closed before their
// handshake because the switch would have refused every peer from there.
func (mt *MultiplexTransport) ConnsRefused() uint64 {
	mt.guard.mtx.Lock()
	defer mt.guard.mtx.Unlock()

	return mt.guard.refused
}
