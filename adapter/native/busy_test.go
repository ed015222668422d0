package native

import (
	"bytes"
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

// TestBusyReceiverIsKept: a reactor that takes nothing for several times PingInterval
// plus PongTimeout, with more data on the way than sockets hold, costs no connection
// and no message.
func TestBusyReceiverIsKept(t *testing.T) {
	config := mconn.DefaultMConnConfig()
	config.SendRate, config.RecvRate = 0, 0
	config.PingInterval, config.PongTimeout = 300*time.Millisecond, 250*time.Millisecond
	transports := make([]*MultiplexTransport, 2)
	for i := range transports {
		key := types.GenerateNodeKey()
		transports[i] = NewMultiplexTransport(nodeInfo(key.ID(), "net"), *key, config, nil)
		t.Cleanup(func() { require.NoError(t, transports[i].Close()) })
	}
	dialer, listener := transports[0], transports[1]
	require.NoError(t, listener.Listen(loopback()))
	sending := newBehavior()
	busy := &busyBehavior{behavior: newBehavior(), release: make(chan struct{})}

	accepted := make(chan compat.PeerConn, 1)
	go func() {
		in, err := listener.Accept(testContext(t), busy)
		if err != nil {
			t.Errorf("accept: %v", err)
		}
		accepted <- in
	}()
	out, err := dialer.Dial(testContext(t), listener.NetAddress(), sending)
	require.NoError(t, err)
	in := <-accepted
	require.NoError(t, in.Start())
	require.NoError(t, out.Start())

	const messages = 16
	for i := range messages {
		require.True(t, out.Send(chA, bytes.Repeat([]byte{byte(i)}, 1<<20)))
	}
	const pingSize = 12
	release := sync.OnceFunc(func() { close(busy.release) })
	t.Cleanup(release) // before the transports are closed
	require.Eventually(t, func() bool { return out.Status().RecvMonitor.Bytes >= 8*pingSize },
		testTimeout, 20*time.Millisecond, "the busy side sends pings")
	require.Empty(t, sending.errs)
	require.Empty(t, busy.errs)
	release()
	for i := range messages {
		require.Equal(t, byte(i), next(t, busy.messages).msg[0])
	}
	require.Empty(t, sending.errs)
	require.NoError(t, out.Stop())
	require.NoError(t, in.Stop())
}
