package native

import (
	"errors"
	"net"
	"syscall"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// errEvicted is why a handshake ended whose place another connection has taken.
var errEvicted = errors.New("gave way to a newer connection")

// place is what an inbound connection holds until its handshake is over: a *places.Place,
// or that of another listener.
type place interface {
	Speak()              // the remote has sent something
	Settle() bool        // the remote has proved its ID; false if the place was taken
	Leave() (taken bool) // gives the place back
}

// placedConn notes the first byte of the remote in its place. One Read runs at a time,
// as in SecretConnection.
type placedConn struct {
	net.Conn
	place place // nil after the first byte
}

func (c *placedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.place != nil {
		c.place.Speak()
		c.place = nil
	}

	return n, err
}

// silent reports whether the remote has sent nothing. No Read runs.
func (c *placedConn) silent() bool { return c.place != nil }

// CloseWrite lets FlushStop end one side of the connection.
func (c *placedConn) CloseWrite() error { return socket.CloseWrite(c.Conn) }

// TunneledBy implements compat.TunneledPeer.
func (c *placedConn) TunneledBy() types.ID { return tunneledBy(c.Conn) }

// SyscallConn lets the secret connection set options of the socket.
func (c *placedConn) SyscallConn() (syscall.RawConn, error) { return socket.Raw(c.Conn) }

// tunneledBy returns the bridge through whose tunnel a connection runs, or the empty ID.
func tunneledBy(conn net.Conn) types.ID {
	t, ok := conn.(compat.TunneledPeer)
	if !ok {
		return ""
	}

	return t.TunneledBy()
}
