package native

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// countedConn counts what is written.
type countedConn struct {
	net.Conn
	written int
}

// NetConn returns the connection below, for socket.NewDrain.
func (c *countedConn) NetConn() net.Conn { return c.Conn }

func (c *countedConn) Write(p []byte) (int, error) {
	c.written += len(p)

	return c.Conn.Write(p)
}

// On a slow path, where little is written at a time, parts of a block still fill their frames:
// a frame is sent whole, however little is in it.
func TestPartsFillFramesOnASlowPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const parts, size = 16, 64 << 10
		path := stacktest.Path{Delay: 50 * time.Millisecond, Rate: 250_000, Unsent: socket.MaxUnsent}
		near, far := path.Connect()
		counted := &countedConn{Conn: near}
		dialer, listener := newDefaultTransport(t, "test"), newDefaultTransport(t, "test")
		to := loopback()
		to.ID = listener.nodeKey.ID()
		receiver := newBehavior()
		accepted := make(chan compat.PeerConn, 1)
		go func() {
			in, err := establish(t, listener, far, nil, receiver)
			if err != nil {
				t.Errorf("accept: %v", err)
			}
			accepted <- in
		}()
		out, err := establish(t, dialer, counted, &to, newBehavior())
		require.NoError(t, err)
		in := <-accepted
		require.NoError(t, in.Start())
		require.NoError(t, out.Start())
		begun := counted.written
		for range parts {
			require.True(t, out.Send(chB, make([]byte, size)))
			<-receiver.messages
		}
		synctest.Wait()
		// 1024 bytes have 12 bytes of a packet around them, and 1024 of those 20 of a frame.
		const least = parts * size / 1024 * 1036 / 1024 * 1044
		require.Less(t, counted.written-begun, least*102/100)
		require.NoError(t, out.Stop())
		require.NoError(t, in.Stop())
	})
}
