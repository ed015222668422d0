package stacktest

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"
)

// StartProxy forwards each connection to the address, after the header, until the test ends.
// It returns where the proxy listens.
func StartProxy(t *testing.T, to string, header []byte) *net.TCPAddr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accept(t, listener, func(near net.Conn) {
		far, err := net.Dial("tcp", to)
		if err == nil {
			_, err = far.Write(header)
		}
		if err != nil {
			t.Errorf("proxy: %v", err)
			_ = near.Close()

			return
		}
		forward := func(dst, src net.Conn) {
			_, _ = io.Copy(dst, src) // the ends tell how the connection ended
			_ = dst.Close()
		}
		var wg sync.WaitGroup
		wg.Go(func() { forward(far, near) })
		wg.Go(func() { forward(near, far) })
		wg.Wait()
	})

	return listener.Addr().(*net.TCPAddr)
}

// ProxyHeader returns a header of the PROXY protocol that names the client, for a node at an
// IP of the same family.
func ProxyHeader(t *testing.T, version byte, client string, command proxyproto.ProtocolVersionAndCommand) []byte {
	t.Helper()
	source := &net.TCPAddr{IP: net.ParseIP(client), Port: 4711}
	h := proxyproto.HeaderProxyFromAddrs(version, source, &net.TCPAddr{IP: source.IP, Port: 26656})
	h.Command = command
	header, err := h.Format()
	require.NoError(t, err)

	return header
}
