package tunnel

import (
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// endTimeout bounds how long a native node may take to end its side of a tunnel that the libp2p
// node has ended.
const endTimeout = 3 * time.Second

// pass passes on bytes until one end closes, and reports whether that was the native one. A
// stranger can open tunnels as often as it likes, so the log sums them up.
func (s *Server) pass(conn, stream net.Conn, node types.ID, direction string) (byNative bool) {
	from, args := netgroup.FromAddr(conn.RemoteAddr()), []any{"node", node, "native", conn.RemoteAddr(), "direction", direction}
	l := &link{target: node, direction: direction, address: conn.RemoteAddr().String(), since: time.Now()}
	s.counted.begin(l)
	s.events.Event(slog.LevelInfo, from, "tunnel is open", direction, args...)
	byNative = passOn(conn, stream, l)
	s.counted.end(l)
	s.events.Event(slog.LevelInfo, from, "tunnel has ended", direction, args...)

	return byNative
}

// passOn joins a native connection with the stream of a tunnel until one of them ends, closes
// both, and reports whether the native one ended first. What one has sent before its end reaches
// the other.
func passOn(conn, stream net.Conn, l *link) (byNative bool) {
	done := make(chan net.Conn, 2)
	pass := func(to, from net.Conn, count *atomic.Uint64) {
		_, _ = io.Copy(counted{to, count}, from) // either end may fail at any time
		done <- from
	}
	go pass(stream, conn, &l.toLibp2p)
	go pass(conn, stream, &l.toNative)
	byNative = <-done == conn
	// A close while bytes of the native node wait to be read would drop those that wait to be sent
	// to it.
	waits := !byNative && socket.CloseWrite(conn) == nil && conn.SetReadDeadline(time.Now().Add(endTimeout)) == nil
	_ = stream.Close()
	if waits {
		_, _ = io.Copy(io.Discard, conn) // until the native node has ended it, too
	}
	_ = conn.Close()
	<-done

	return byNative
}

// counted counts the bytes that a writer has taken.
type counted struct {
	to    io.Writer
	count *atomic.Uint64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.count.Add(uint64(n))

	return n, err
}
