package native

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// busyBehavior is a switch whose reactor takes no message until it is released.
type busyBehavior struct {
	*behavior

	release chan struct{}
}

func (b *busyBehavior) Reactors() map[byte]compat.Reactor {
	return map[byte]compat.Reactor{chA: b, chB: b}
}

func (b *busyBehavior) Receive(ch byte, peer compat.PeerConn, msg []byte) {
	<-b.release
	b.behavior.Receive(ch, peer, msg)
}

// smallSockets returns the ends of a TCP connection that holds little data on the way.
func smallSockets(t *testing.T) (dialed, accepted *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer l.Close()
	dialed, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	require.NoError(t, err)
	accepted, err = l.AcceptTCP()
	require.NoError(t, err)
	require.NoError(t, dialed.SetWriteBuffer(16<<10))
	require.NoError(t, accepted.SetReadBuffer(16<<10))

	return dialed, accepted
}

// TestBusyReceiverIsKept: a reactor that takes nothing for twice PingInterval
// plus PongTimeout, with more data on the way than sockets hold, costs no connection
// and no message. Small sockets are read empty in a fraction of PongTimeout, also on a
// busy machine. The test runs beside others, since it waits for several pings.
func TestBusyReceiverIsKept(t *testing.T) {
	t.Parallel()
	config := mconn.DefaultMConnConfig()
	config.SendRate, config.RecvRate = 0, 0
	config.PingInterval, config.PongTimeout = 4*time.Second, 3900*time.Millisecond
	transports := make([]*MultiplexTransport, 2)
	for i := range transports {
		key := types.GenerateNodeKey()
		transports[i] = NewMultiplexTransport(nodeInfo(key.ID(), "net"), *key, config, nil, WithHandshakeTimeout(testTimeout))
		t.Cleanup(func() { require.NoError(t, transports[i].Close()) })
	}
	dialer, listener := transports[0], transports[1]
	sending := newBehavior()
	busy := &busyBehavior{behavior: newBehavior(), release: make(chan struct{})}

	dialed, accepted := smallSockets(t)
	listener.admit(accepted)
	at, err := types.NewNetAddress(listener.nodeKey.ID(), dialed.RemoteAddr())
	require.NoError(t, err)
	out, err := establish(t, dialer, dialed, at, sending)
	require.NoError(t, err)
	in, err := listener.Accept(testContext(t), busy)
	require.NoError(t, err)
	require.NoError(t, in.Start())
	require.NoError(t, out.Start())

	const messages = 16
	for i := range messages {
		require.True(t, out.Send(chA, bytes.Repeat([]byte{byte(i)}, 1<<20)))
	}
	const pingSize = 12
	release := sync.OnceFunc(func() { close(busy.release) })
	t.Cleanup(release) // before the transports are closed
	require.Eventually(t, func() bool { return out.Status().RecvMonitor.Bytes >= 4*pingSize },
		time.Minute, 20*time.Millisecond, "the busy side sends pings")
	require.Less(t, out.Status().SendMonitor.Bytes, int64(2<<20), "the sender is blocked")
	require.Empty(t, sending.errs)
	require.Empty(t, busy.errs)
	release()
	for i := range messages {
		select {
		case got := <-busy.messages:
			require.Equal(t, byte(i), got.msg[0])
		case err := <-sending.errs:
			t.Fatal(err)
		case err := <-busy.errs:
			t.Fatal(err)
		}
	}
	require.Empty(t, sending.errs)
	require.NoError(t, out.Stop())
	require.NoError(t, in.Stop())
}
