package lp2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// OpenStream opens a stream of another protocol than a session's to the node at the address. It
// uses a connection that the node has opened if there is one, so a node that nobody can dial is
// reached as long as it keeps one; otherwise it dials as Dial does. The connection stays open
// until the stream is closed. The remote sees the stream with its first bytes: a connection that
// the remote is just closing fails then.
func (t *Transport) OpenStream(ctx context.Context, addr types.NetAddress, proto protocol.ID) (net.Conn, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.tasks.Done()
	ctx, cancel := t.untilClose(ctx)
	defer cancel()
	addr.ID = addr.ID.Canonical() // as in Dial
	conn, err := t.openStream(ctx, addr, proto)
	if err != nil {
		return nil, fmt.Errorf("unable to open a stream of %s to %s: %w", proto, addr.String(), err)
	}

	return conn, nil
}

func (t *Transport) openStream(ctx context.Context, addr types.NetAddress, proto protocol.ID) (net.Conn, error) {
	if err := t.CheckDial(addr); err != nil {
		return nil, err
	}
	c := t.openConn(addr.ID)
	if c == nil {
		id, leave, err := t.firstContact(ctx, addr)
		if err != nil {
			return nil, err
		}
		c, _, err = t.connectSomewhere(ctx, id, addr)
		leave()
		if err != nil {
			return nil, err
		}
	}
	s, err := stream.Open(ctx, c, proto)
	if err != nil {
		t.release(c)

		return nil, err
	}

	return t.streamConn(s), nil
}

// openConn retains an open connection to the node, if there is one that is not relayed.
func (t *Transport) openConn(id types.ID) network.Conn {
	peerID, known := p2paddr.Known(t.book, id)
	if !known {
		return nil
	}
	for _, c := range t.host.Network().ConnsToPeer(peerID) {
		if !isCircuit(c.RemoteMultiaddr()) && t.retain(c) {
			return c
		}
	}

	return nil
}

// HandleStream lets handle serve the streams of a protocol that remotes open, each on a goroutine
// of its own. handle closes the stream; Close ends all streams and waits for handle. It gets the
// ID that the remote has proved. expects says from whom streams are expected. Those of others
// count as handshakes and keep no connection open, so handle has to end them within the time of
// one, and they are reset to make room as handshakes are.
func (t *Transport) HandleStream(proto protocol.ID, expects func(from types.ID) bool, handle func(from types.ID, conn net.Conn)) {
	t.host.SetStreamHandler(proto, t.handler(func(ns network.Stream) {
		c := ns.Conn()
		key, err := p2paddr.PublicKey(c.RemotePeer())
		if err != nil {
			_ = ns.ResetWithError(network.StreamShutdown)

			return
		}
		from, keep := types.IDFromPublicKey(key), t.retain
		if !expects(from) {
			slot, err := t.takeSlot(t.handshakes, ns)
			if err != nil {
				_ = ns.ResetWithError(network.StreamRateLimited)

				return
			}
			defer slot.leave()
			keep = t.hold
		}
		if !keep(c) {
			_ = ns.ResetWithError(network.StreamShutdown)

			return
		}
		t.book.LearnKey(key)
		handle(from, t.streamConn(stream.Inbound(ns)))
	}))
}

// streamConn makes a net.Conn of a stream on a connection that is retained or held for it.
func (t *Transport) streamConn(s *stream.Stream) net.Conn {
	c := &streamConn{Stream: s, t: t}
	c.release = sync.OnceFunc(func() {
		t.mtx.Lock()
		delete(t.opened, c)
		t.mtx.Unlock()
		t.release(s.Conn())
	})
	t.mtx.Lock()
	t.opened[c] = struct{}{}
	t.mtx.Unlock()
	t.resetBlocked(c) // endBlocked may have passed before

	return c
}

// resetBlocked ends the streams whose remotes are blocked. Whoever has one closes it, which
// closes the connection.
func (t *Transport) resetBlocked(streams ...*streamConn) {
	for _, c := range streams {
		if t.gater.blockedConn(c.Conn()) {
			t.tryEnd(func() { _ = c.Reset() })
		}
	}
}

// streamConn is a stream as a net.Conn.
type streamConn struct {
	*stream.Stream
	t       *Transport
	release func()
}

// LocalAddr implements net.Conn.
func (c *streamConn) LocalAddr() net.Addr { return p2paddr.NetAddr(c.Conn().LocalMultiaddr()) }

// RemoteAddr implements net.Conn.
func (c *streamConn) RemoteAddr() net.Addr { return p2paddr.NetAddr(c.Conn().RemoteMultiaddr()) }

// Close implements net.Conn. What was written before is delivered unless the connection ends.
func (c *streamConn) Close() error {
	defer c.release()
	if c.t.enter() != nil {
		return c.Reset() // the transport has ended the connection
	}
	defer c.t.tasks.Done()
	ended := make(chan error, 1)
	c.t.tryEnd(func() { ended <- c.Stream.Close() })
	select {
	case err := <-ended:
		return err
	default:
		return errors.Join(errStreamStuck, c.Reset())
	}
}

var errStreamStuck = errors.New("remote has not read what was sent before the stream was closed")
