package lp2p

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/guard"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
	"github.com/tm2-libp2p/tm2-libp2p/internal/proxied"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// tcpListener makes libp2p connections of those that a socket accepts.
type tcpListener struct {
	*tcpTransport
	socket   net.Listener
	at       multiaddr.Multiaddr
	ctx      context.Context // ends when Close begins
	cancel   context.CancelFunc
	tasks    sync.WaitGroup // the accept loop and the handshakes
	accepted chan transport.CapableConn
}

var _ transport.Listener = (*tcpListener)(nil)

// serve returns a listener for the connections of the socket, which it closes, also on an
// error.
func (t *tcpTransport) serve(socket net.Listener) (transport.Listener, error) {
	at, err := manet.FromNetAddr(socket.Addr())
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	l := &tcpListener{tcpTransport: t, socket: socket, at: at, accepted: make(chan transport.CapableConn)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.tasks.Go(l.acceptLoop)

	return l, nil
}

// Accept implements transport.Listener.
func (l *tcpListener) Accept() (transport.CapableConn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.ctx.Done():
		return nil, transport.ErrListenerClosed
	}
}

// Close implements transport.Listener. It ends the handshakes and waits for them.
func (l *tcpListener) Close() error {
	l.cancel()
	err := l.socket.Close()
	l.tasks.Wait()

	return err
}

// Addr implements transport.Listener.
func (l *tcpListener) Addr() net.Addr { return l.socket.Addr() }

// Multiaddr implements transport.Listener.
func (l *tcpListener) Multiaddr() multiaddr.Multiaddr { return l.at }

func (l *tcpListener) acceptLoop() {
	socket.Accept(l.ctx, l.socket, l.admit, func(retryIn time.Duration, err error) {
		l.entrance.inbound.Event(slog.LevelWarn, netip.Addr{}, "unable to accept a connection", "system",
			"address", l.Addr(), "retry_in", retryIn, "err", err)
	})
}

// admit goes on with a new connection on a goroutine, if it gets a place. A connection from
// a proxy has one among those of the proxy until the PROXY header has come.
func (l *tcpListener) admit(conn net.Conn) {
	p := l.entrance.enter(conn)
	if p == nil {
		return
	}
	if !l.entrance.proxies.Contain(conn.RemoteAddr()) {
		l.tasks.Go(func() { l.receive(conn, p) })

		return
	}
	l.tasks.Go(func() {
		client, err := proxied.Accept(l.ctx, conn, l.entrance.timeouts.Handshake)
		if err != nil {
			err = fmt.Errorf("%w: %w", errNoHeader, err)
		}
		if p.Leave() {
			err = errEvicted
		}
		if err != nil {
			l.drop(conn, err)

			return
		}
		if p := l.entrance.enter(client); p != nil {
			l.receive(client, p)
		}
	})
}

// receive passes the connection on to Accept, or to the other stack, once the remote has
// proved its ID.
func (l *tcpListener) receive(conn net.Conn, p *places.Place) {
	defer p.Leave()
	var refusal error
	if !l.entrance.proxies.Contain(conn.RemoteAddr()) { // else it is a proxy's own, as a health check
		refusal = l.entrance.gater.admitConn(netgroup.FromAddr(conn.RemoteAddr()))
	}
	if guard.IsBan(refusal) {
		l.drop(conn, refusal)

		return
	}
	peeked := sniff.NewPeekedConn(conn)
	first, err := l.sniff(peeked, p)
	if l.entrance.isOthers(first, err) {
		l.passOn(peeked, refusal, p)

		return
	}
	var c transport.CapableConn
	if err == nil {
		c, err = l.handshake(peeked, sniff.Protocol(first))
	}
	if !p.Settle() {
		if err == nil {
			_ = c.Close() // it has lost its socket
		}
		err = errEvicted
	}
	if err != nil {
		l.drop(conn, err)

		return
	}
	select {
	case l.accepted <- c:
	case <-l.ctx.Done():
		_ = c.CloseWithError(network.ConnShutdown) // nobody is left to be told of an error
	}
}

// passOn serves a connection by the other stack, unless the switch has refused it.
func (l *tcpListener) passOn(conn *sniff.PeekedConn, refusal error, p *places.Place) {
	if refusal != nil {
		l.drop(conn.Conn, refusal)

		return
	}
	l.entrance.serveOther(l.ctx, conn, p.Settle)
}

// sniff waits for the first bytes of the remote, and returns what has come.
func (l *tcpListener) sniff(conn *sniff.PeekedConn, p *places.Place) (first []byte, err error) {
	first, err = conn.PeekWithin(l.ctx, l.entrance.sniffTimeout())
	if err != nil {
		err = fmt.Errorf("%w: %w", errSilent, err)
	}
	if len(first) > 0 {
		p.Speak()
	}

	return first, err
}

// handshake makes a libp2p connection of one whose remote speaks the protocol, or an unknown
// one.
func (l *tcpListener) handshake(conn *sniff.PeekedConn, protocol string) (transport.CapableConn, error) {
	switch protocol {
	case "libp2p", "":
	case "HTTP":
		return nil, &compat.ForeignError{Answered: protocol, Err: errHTTP}
	default:
		return nil, &compat.ForeignError{Answered: protocol, Err: cmp.Or(l.greet(conn), ErrNotLibp2p)}
	}
	if !l.entrance.mayHandshake(conn) {
		return nil, errTooOften
	}

	return l.upgrade(l.ctx, conn)
}

// greet tells a remote that speaks something else what this port is: a native node
// understands it.
func (l *tcpListener) greet(conn net.Conn) error {
	if err := conn.SetWriteDeadline(time.Now().Add(l.entrance.timeouts.Handshake)); err != nil {
		return err
	}
	_, err := conn.Write(sniff.MultistreamHeader)

	return err
}

// drop logs why a connection did not become one of libp2p, unless the listener closes, and
// closes it.
func (l *tcpListener) drop(conn net.Conn, err error) {
	if l.ctx.Err() == nil {
		l.entrance.logFailure(conn.RemoteAddr(), err)
	}
	if errors.Is(err, errHTTP) {
		answerHTTP(conn) // it may still be on its way at the close
	} else {
		abandonAtClose(conn)
	}
	l.entrance.close(conn)
}
