package proxied

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// patient only ends a test that has already failed.
const patient = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe returns both ends of a TCP connection, which are closed with the test.
func pipe(t *testing.T) (dialed *net.TCPConn, accepted net.Conn) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer listener.Close()
	dialed, err = net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr))
	require.NoError(t, err)
	t.Cleanup(func() { _ = dialed.Close() })
	accepted, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = accepted.Close() })

	return dialed, accepted
}

// Headers of both versions name the client, and what follows them is read.
func TestAccept(t *testing.T) {
	client := &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 4711}
	for version, want := range map[byte]string{1: client.String(), 2: client.String(), 0: ""} {
		dialed, accepted := pipe(t)
		header := []byte("PROXY UNKNOWN\r\n")
		if version != 0 {
			var err error
			header, err = proxyproto.HeaderProxyFromAddrs(version, client, &net.TCPAddr{IP: client.IP, Port: 1}).Format()
			require.NoError(t, err)
		} else {
			want = accepted.RemoteAddr().String()
		}
		_, err := dialed.Write(append(header, "rest"...))
		require.NoError(t, err)
		require.NoError(t, dialed.CloseWrite())
		conn, err := Accept(t.Context(), accepted, patient)
		require.NoError(t, err)
		require.Equal(t, want, conn.RemoteAddr().String())
		rest, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "rest", string(rest))
	}
}

// What is no header of a TCP client, or too long, is refused.
func TestAcceptRefuses(t *testing.T) {
	unix, err := proxyproto.HeaderProxyFromAddrs(2,
		&net.UnixAddr{Net: "unix", Name: "a"}, &net.UnixAddr{Net: "unix", Name: "b"}).Format()
	require.NoError(t, err)
	for _, first := range []string{
		"", "PROX", "GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 1.2.3.4\r\n", "PROXY " + strings.Repeat("x", 200), string(unix), string(unix[:len(unix)-1]),
	} {
		dialed, accepted := pipe(t)
		_, err := io.Copy(dialed, bytes.NewReader([]byte(first)))
		require.NoError(t, err)
		require.NoError(t, dialed.CloseWrite())
		_, err = Accept(t.Context(), accepted, patient)
		require.Error(t, err, "%q", first)
	}
}

// A proxy that sends no header is given up after the timeout, or when the context ends.
func TestAcceptEnds(t *testing.T) {
	_, accepted := pipe(t)
	_, err := Accept(t.Context(), accepted, time.Millisecond)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	dialed, accepted := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Accept(ctx, accepted, patient)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, dialed.SetReadDeadline(time.Now().Add(patient)))
	_, err = dialed.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the connection is closed")
}

// The timeout is that of the header, and not of what follows it.
func TestAcceptEndsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proxy, accepted := net.Pipe()
		defer proxy.Close()
		go func() { _, _ = proxy.Write([]byte("PROXY UNKNOWN\r\n")) }()
		conn, err := Accept(t.Context(), accepted, time.Second)
		require.NoError(t, err)
		defer conn.Close()
		time.AfterFunc(time.Minute, func() { _, _ = proxy.Write([]byte("x")) })
		_, err = conn.Read(make([]byte, 1))
		require.NoError(t, err)
	})
}

// One side of a connection from a proxy can end before the other, and its socket can be
// reached.
func TestConnPassesOn(t *testing.T) {
	dialed, accepted := pipe(t)
	_, err := dialed.Write([]byte("PROXY UNKNOWN\r\n"))
	require.NoError(t, err)
	conn, err := Accept(t.Context(), accepted, patient)
	require.NoError(t, err)
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(uintptr) {}))

	require.NoError(t, conn.CloseWrite())
	got, err := io.ReadAll(dialed)
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = dialed.Write([]byte("still read"))
	require.NoError(t, err)
	require.NoError(t, dialed.CloseWrite())
	got, err = io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "still read", string(got))
}

func TestNetworks(t *testing.T) {
	networks := Networks{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	require.NoError(t, networks.Validate())
	for ip, contained := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "2001:db8::1": true, "2001:db9::1": false,
	} {
		require.Equal(t, contained, networks.Contain(&net.TCPAddr{IP: net.ParseIP(ip)}), ip)
	}
	require.False(t, networks.Contain(&net.UnixAddr{}))
	for _, network := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:10.0.0.0/104")} {
		require.Error(t, Networks{network}.Validate())
	}
}
