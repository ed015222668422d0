package dropin

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// startProxy starts a proxy that begins each connection to the address with a header, and
// returns its port on 127.0.0.1.
func startProxy(t *testing.T, to, header string) uint16 {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var (
		mtx   sync.Mutex
		conns []net.Conn
		tasks sync.WaitGroup
	)
	tasks.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()

				continue
			}
			mtx.Lock()
			conns = append(conns, in, out)
			mtx.Unlock()
			tasks.Go(func() {
				_, _ = io.WriteString(out, header)
				_, _ = io.Copy(out, in)
				_ = out.Close()
			})
			tasks.Go(func() {
				_, _ = io.Copy(in, out)
				_ = in.Close()
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		mtx.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		mtx.Unlock()
		tasks.Wait()
	})

	return uint16(listener.Addr().(*net.TCPAddr).Port)
}
