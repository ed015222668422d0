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

// Accept implements compat.Transport. From the first call on the behavior of the
// last one is asked about each connection, if it has the powers: before the
// handshake (compat.ConnAdmission) and after it (compat.PeerAdmission).
func (mt *MultiplexTransport) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	mt.door.assign(behavior)
	for {
		pending, err := mt.acceptPending(ctx)
		if err != nil {
			return nil, err
		}
		if err := mayAdmit(pending, behavior); err != nil {
			pending.close() // the switch logs and tells why

			continue
		}

		return mt.newPeer(pending, behavior)
	}
}

func mayAdmit(pending *Pending, behavior compat.PeerBehavior) error {
	admission, ok := behavior.(compat.PeerAdmission)
	if !ok {
		return nil
	}

	return admission.AdmitPeer(pending.connInfo(behavior), pending.NodeInfo())
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
		mt.admit(conn)
	}
}

// admit starts the handshake of an inbound connection, if somebody from there may
// come in and there is room for a handshake.
func (mt *MultiplexTransport) admit(conn net.Conn) {
	if again, err := mt.door.ask(netgroup.FromAddr(conn.RemoteAddr()).AsSlice()); err != nil {
		level := slog.LevelInfo
		if again {
			level = slog.LevelDebug
		}
		mt.logger.Log(mt.ctx, level, "inbound connection refused before its handshake", "address", conn.RemoteAddr(), "err", err)
		mt.closeConn(conn)

		return
	}
	p, evicted, err := mt.admission.enter(conn)
	if err != nil {
		mt.logger.Warn("inbound connection refused", "address", conn.RemoteAddr(), "err", err)
		mt.closeConn(conn)

		return
	}
	if evicted != nil {
		mt.closeConn(evicted.conn)
	}
	mt.wg.Go(func() { mt.handshakeInbound(p) })
}

// handshakeInbound queues the connection for Accept once it is verified. Its
// place among the handshakes is free again when Accept takes it.
func (mt *MultiplexTransport) handshakeInbound(p *place) {
	pending, err := mt.upgrade(mt.ctx, &placedConn{Conn: p.conn, place: p}, nil)
	if err != nil {
		if p.leave() {
			err = fmt.Errorf("%w: %w", errEvicted, err)
		}
		mt.logger.Info("inbound handshake failed", "address", p.conn.RemoteAddr(), "err", err)
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
		return nil, compat.ErrTransportClosed
	case pending := <-mt.incoming:
		pending.leave()

		return pending, nil
	}
}

// door asks the switch whether an inbound connection is worth a handshake. The
// zero value lets everybody in. All methods may be called concurrently.
type door struct {
	mtx      sync.Mutex
	keeper   compat.ConnAdmission // nil: nobody to ask
	refusing bool                 // the last connection was refused
	refused  uint64
}

// assign sets who is asked from now on.
func (d *door) assign(behavior compat.PeerBehavior) {
	keeper, _ := behavior.(compat.ConnAdmission)

	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.keeper = keeper
}

// ask returns why nobody from the IP may come in, or nil, and whether the
// connection before was refused, too.
func (d *door) ask(ip net.IP) (again bool, err error) {
	d.mtx.Lock()
	keeper := d.keeper
	d.mtx.Unlock()
	if keeper == nil {
		return false, nil
	}
	err = keeper.AdmitConn(ip)

	d.mtx.Lock()
	defer d.mtx.Unlock()
	again, d.refusing = d.refusing, err != nil
	if err != nil {
		d.refused++
	}

	return again, err
}

// ConnsRefused counts the inbound connections that were closed before their
// handshake because the switch would have let nobody in.
func (mt *MultiplexTransport) ConnsRefused() uint64 {
	mt.door.mtx.Lock()
	defer mt.door.mtx.Unlock()

	return mt.door.refused
}
