package native

import (
	"errors"
	"net"
	"time"
)

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
			if !mt.pause(delay) {
				return
			}

			continue
		}
		delay = 0
		mt.admit(conn)
	}
}

// pause waits and reports whether the transport is still open.
func (mt *MultiplexTransport) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-mt.ctx.Done():
		return false
	}
}

// admit starts the handshake of an inbound connection, if there is room for one.
func (mt *MultiplexTransport) admit(conn net.Conn) {
	leave, err := mt.admission.enter(conn.RemoteAddr())
	if err != nil {
		mt.logger.Warn("inbound connection refused", "address", conn.RemoteAddr(), "err", err)
		mt.closeConn(conn)

		return
	}
	mt.wg.Go(func() { mt.handshakeInbound(conn, leave) })
}

// handshakeInbound queues the connection for Accept once it is verified. Its
// place among the handshakes is free again when Accept takes it.
func (mt *MultiplexTransport) handshakeInbound(conn net.Conn, leave func()) {
	pending, err := mt.upgrade(mt.ctx, conn, nil)
	if err != nil {
		leave()
		mt.logger.Info("inbound handshake failed", "address", conn.RemoteAddr(), "err", err)
		mt.closeConn(conn)

		return
	}
	pending.leave = leave

	select {
	case mt.incoming <- pending:
	case <-mt.ctx.Done():
		leave()
		mt.closeConn(conn)
	}
}

func (mt *MultiplexTransport) closeConn(conn net.Conn) {
	if err := ignoreClosed(conn.Close()); err != nil {
		mt.logger.Debug("connection closed with an error", "address", conn.RemoteAddr(), "err", err)
	}
}
