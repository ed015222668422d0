package proxy

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const late20 = 20 * time.Millisecond

// echo returns the address of an echo server.
func echo(t *testing.T) string {
	t.Helper()
	tcp, err := net.Listen("tcp", freeAddress(t))
	require.NoError(t, err)
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	require.NoError(t, err)
	ended := make(chan struct{}, 2)
	go func() {
		defer func() { ended <- struct{}{} }()
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	go func() {
		defer func() { ended <- struct{}{} }()
		packet := make([]byte, 1<<16)
		for {
			n, from, err := udp.ReadFrom(packet)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo(packet[:n], from)
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, tcp.Close())
		require.NoError(t, udp.Close())
		<-ended
		<-ended
	})

	return tcp.Addr().String()
}

// freeAddress returns a loopback address that is free for TCP and UDP.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := freeport.Take()
	require.NoError(t, err)

	return fmt.Sprintf("127.0.0.1:%d", port)
}

func startProxy(t *testing.T, target string, delay time.Duration) (*Proxy, string) {
	t.Helper()
	listen := freeAddress(t)
	p, err := Start(listen, target, func() time.Duration { return delay })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })

	return p, listen
}

func TestForwardsLateAndInOrder(t *testing.T) {
	target := echo(t)
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			_, listen := startProxy(t, target, late20)
			conn, err := net.Dial(network, listen)
			require.NoError(t, err)
			defer conn.Close()

			begun := time.Now()
			const count = 100
			for i := range count {
				_, err := conn.Write([]byte{byte(i)})
				require.NoError(t, err)
			}
			var got []byte
			buf := make([]byte, 1<<16)
			for len(got) < count {
				n, err := conn.Read(buf)
				require.NoError(t, err)
				got = append(got, buf[:n]...)
			}
			require.GreaterOrEqual(t, time.Since(begun), 2*late20)
			for i, b := range got {
				require.EqualValues(t, i, b)
			}
		})
	}
}

func TestCutEndsConnectionsAndLetsNewOnesPass(t *testing.T) {
	p, listen := startProxy(t, echo(t), 0)
	buf := make([]byte, 1)
	for range 3 {
		conn, err := net.Dial("tcp", listen)
		require.NoError(t, err)
		_, err = conn.Write([]byte("x"))
		require.NoError(t, err)
		_, err = io.ReadFull(conn, buf)
		require.NoError(t, err)

		require.Equal(t, 1, p.Cut())
		_, err = conn.Read(buf)
		require.Error(t, err)
		require.NoError(t, conn.Close())
	}
}

func TestTargetThatIsNotThere(t *testing.T) {
	_, listen := startProxy(t, "127.0.0.1:1", 0)
	conn, err := net.Dial("tcp", listen)
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, conn.Close())
}
