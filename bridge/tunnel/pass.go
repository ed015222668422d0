package tunnel

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

const (
	// endTimeout bounds how long a native node may take to end its side of a tunnel that the
	// libp2p node has ended.
	endTimeout = 3 * time.Second
	// maxSilence is how long an end may take nothing of what waits for it while it sends nothing
	// either: a TM2 node pings once a minute, and is given up by its peers after 105 s. The end
	// of a node is behind all that it has sent, so the bridge does not see it while the other
	// one takes nothing.
	maxSilence = 2 * time.Minute
	// maxBusy is how long an end may take nothing whatever it sends. A node with a busy reactor
	// takes nothing, pings, and is kept by its peers. Here its pings are ciphertext: other bytes
	// could keep open a tunnel that the other end has left.
	maxBusy = 10 * time.Minute
)

var (
	errLeft    = errors.New("it has closed the connection")
	errStalled = errors.New("it has taken nothing")
)

// pass passes on bytes until one end closes, and reports whether that was the native one. A
// stranger can open tunnels as often as it likes, so the log sums them up.
func (s *Server) pass(conn, stream net.Conn, node types.ID, direction string) (byNative bool) {
	from, args := netgroup.FromAddr(conn.RemoteAddr()), []any{"node", node, "native", conn.RemoteAddr(), "direction", direction}
	l := &link{target: node, direction: direction, address: conn.RemoteAddr().String(), since: time.Now()}
	s.counted.begin(l)
	s.events.Event(slog.LevelInfo, from, "tunnel is open", direction, args...)
	end := passOn(conn, stream, l)
	s.counted.end(l)
	s.events.Event(slog.LevelInfo, from, "tunnel has ended", direction, append(args, "by", s.whoEnded(end), "err", cmp.Or(end.err, errLeft))...)

	return end.byNative
}

// ending says how a tunnel has ended.
type ending struct {
	byNative bool  // or by the libp2p node
	err      error // nil if it has closed its connection
}

// whoEnded names the side that has ended a tunnel, or the bridge, whose own close is an error too.
func (s *Server) whoEnded(end ending) string {
	switch {
	case s.ctx.Err() != nil, errors.Is(end.err, net.ErrClosed):
		return "bridge"
	case end.byNative:
		return string(types.StackNative)
	default:
		return string(types.StackLibp2p)
	}
}

// passOn joins a native connection with the stream of a tunnel until one of them ends, or takes
// nothing for too long, and closes both. What one has sent before its end reaches the other.
func passOn(conn, stream net.Conn, l *link) ending {
	native, libp2p := newEnd(conn, &l.toNative), newEnd(stream, &l.toLibp2p)
	done := make(chan ending, 2)
	pass := func(to, from *end) {
		_, err := io.Copy(to, from)
		by := from
		if to.failed {
			by = to
		}
		done <- ending{by == native, err}
	}
	go pass(libp2p, native)
	go pass(native, libp2p)
	first := <-done
	// A close while bytes of the native node wait to be read would drop those that wait to be sent
	// to it.
	waits := !first.byNative && socket.CloseWrite(conn) == nil && conn.SetReadDeadline(time.Now().Add(endTimeout)) == nil
	_ = stream.Close()
	if waits {
		_, _ = io.Copy(io.Discard, conn) // until the native node has ended it, too
	}
	_ = conn.Close()
	<-done

	return first
}

// end is one end of a tunnel. One goroutine reads from it, and one writes.
type end struct {
	net.Conn
	took    *atomic.Uint64 // bytes
	opened  time.Time
	reading atomic.Bool  // its bytes are waited for; else the other end takes none
	heard   atomic.Int64 // when it has last sent something, as a time.Duration since opened
	failed  bool         // a Write has
}

func newEnd(conn net.Conn, took *atomic.Uint64) *end {
	return &end{Conn: conn, took: took, opened: time.Now()}
}

// Read implements io.Reader.
func (e *end) Read(b []byte) (int, error) {
	e.reading.Store(true)
	n, err := e.Conn.Read(b)
	e.heard.Store(int64(time.Since(e.opened)))
	e.reading.Store(false)

	return n, err
}

// Write implements io.Writer. It fails with errStalled when the end has not taken all of b within
// maxSilence since it was last heard, and maxBusy in all.
func (e *end) Write(b []byte) (n int, err error) {
	begun := time.Now()
	for due := e.due(begun); ; {
		var took int
		if err = e.SetWriteDeadline(due); err == nil {
			took, err = e.Conn.Write(b[n:])
		}
		n += took
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(due) {
			break
		}
		later := e.due(begun)
		if !later.After(due) {
			err = fmt.Errorf("%w for %s", errStalled, time.Since(begun).Round(time.Second))

			break
		}
		due = later // it has sent something meanwhile
	}
	e.took.Add(uint64(n))
	e.failed = err != nil

	return n, err
}

// due returns when a write that has begun at the time has to be over, for all that is known now.
func (e *end) due(begun time.Time) time.Time {
	heard := e.opened.Add(time.Duration(e.heard.Load()))
	if !e.reading.Load() {
		heard = time.Now() // it may have sent something that nobody has read
	}
	if heard.Before(begun) {
		heard = begun
	}
	due, last := heard.Add(maxSilence), begun.Add(maxBusy)
	if last.Before(due) {
		return last
	}

	return due
}
