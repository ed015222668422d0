package lp2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
)

// scriptedConn is a connection whose remote sends data in pieces. Then the remote closes it,
// or is silent.
type scriptedConn struct {
	net.Conn
	data   []byte
	piece  int
	silent bool
	sent   []byte // by this node
	closed int
}

func (c *scriptedConn) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		if c.silent {
			return 0, os.ErrDeadlineExceeded
		}

		return 0, io.EOF
	}
	n := copy(p, c.data[:min(len(c.data), c.piece)])
	c.data = c.data[n:]

	return n, nil
}

func (c *scriptedConn) Write(p []byte) (int, error) {
	c.sent = append(c.sent, p...)

	return len(p), nil
}

func (c *scriptedConn) Close() error {
	c.closed++

	return nil
}

func (*scriptedConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (*scriptedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (*scriptedConn) SetDeadline(time.Time) error      { return nil }
func (*scriptedConn) SetReadDeadline(time.Time) error  { return nil }
func (*scriptedConn) SetWriteDeadline(time.Time) error { return nil }

// upgraderFunc is libp2p's side of a listener. It reads a connection to its end.
type upgraderFunc func(net.Conn)

func (upgraderFunc) UpgradeListener(transport.Transport, manet.Listener) transport.Listener {
	return nil
}
func (upgraderFunc) GateMaListener(manet.Listener) transport.GatedMaListener { return nil }
func (upgraderFunc) UpgradeGatedMaListener(transport.Transport, transport.GatedMaListener) transport.Listener {
	return nil
}

func (f upgraderFunc) Upgrade(
	_ context.Context, _ transport.Transport, c manet.Conn, _ network.Direction, _ peer.ID, _ network.ConnManagementScope,
) (transport.CapableConn, error) {
	f(c)

	return nil, errors.Join(io.ErrUnexpectedEOF, c.Close())
}

// FuzzSharedListener shows that whatever a remote sends first reaches the one stack that is
// meant, whole, or none, and that the connection then is closed and its place free.
func FuzzSharedListener(f *testing.F) {
	for _, first := range [][]byte{
		nil, sniff.NativeStart, sniff.NativeStart[:2], sniff.MultistreamHeader, sniff.Libp2pStart[:1],
		[]byte("GET / HTTP/1.1\r\n\r\n"), []byte("SSH-2.0-x\r\n"), []byte("PROXY TCP4 "), {0x16, 3, 1}, {0, 0, 0, 0},
	} {
		for _, silent := range []bool{false, true} {
			f.Add(first, uint8(1), silent)
			f.Add(append(bytes.Clone(first), make([]byte, 200)...), uint8(99), silent)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, piece uint8, silent bool) {
		var native, libp2p, read []byte
		served := 0
		take := func(into *[]byte) func(net.Conn) {
			return func(c net.Conn) {
				served++
				read, _ = io.ReadAll(c) // it ends with an error if the remote is silent
				*into = append([]byte{}, read...)
			}
		}
		serveNative := take(&native)
		o, err := newOptions([]Option{WithOtherStack(func(_ context.Context, c net.Conn, _ func() bool) {
			serveNative(c)
			require.NoError(t, c.Close())
		})})
		require.NoError(t, err)
		o.logger = slog.New(slog.DiscardHandler)
		e := newEntrance(o, nil)
		defer e.inbound.Close()
		l := &tcpListener{ctx: t.Context(), tcpTransport: &tcpTransport{
			options: o, entrance: e, upgrader: upgraderFunc(take(&libp2p)), resources: &network.NullResourceManager{},
		}}
		conn := &scriptedConn{data: data, piece: 1 + int(piece), silent: silent}
		p := e.enter(conn)
		require.NotNil(t, p)
		l.receive(conn, p)

		come := (len(sniff.Libp2pStart) + conn.piece - 1) / conn.piece * conn.piece // until there are enough bytes
		switch protocol := sniff.Protocol(data[:min(len(data), come, 64)]); {
		case len(data) == 0 && silent, protocol == "native":
			require.NotNil(t, native)
		case len(data) >= len(sniff.Libp2pStart) && (protocol == "libp2p" || protocol == ""):
			require.NotNil(t, libp2p)
		default:
			require.Zero(t, served)
		}
		require.LessOrEqual(t, served, 1)
		if served == 1 {
			require.True(t, bytes.Equal(data, read), "%q instead of %q", read, data)
			require.Empty(t, conn.sent)
		}
		require.Positive(t, conn.closed)
		closed := conn.closed
		for range o.limits.places().Total {
			_, err := e.places.Take(netip.MustParseAddr("127.0.0.1"), false, func() {})
			require.NoError(t, err)
		}
		require.Equal(t, closed, conn.closed, "the connection had to give its place up")
	})
}
