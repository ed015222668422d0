package native

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout only ends a test that has already failed.
const testTimeout = 20 * time.Second

const (
	chA byte = 0x20
	chB byte = 0x30
)

// received is one message as a reactor got it.
type received struct {
	ch  byte
	msg string
}

// behavior is a switch reduced to what a transport asks of it.
type behavior struct {
	compat.BaseReactor

	messages chan received
	errs     chan error
}

func newBehavior() *behavior {
	b := &behavior{messages: make(chan received, 1024), errs: make(chan error, 16)}
	b.BaseReactor = *compat.NewBaseReactor("test", b)

	return b
}

func (b *behavior) ReactorChDescriptors() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{
		{ID: chA, Priority: 5, SendQueueCapacity: 100, RecvMessageCapacity: 4 << 20},
		{ID: chB, Priority: 1, SendQueueCapacity: 100, RecvMessageCapacity: 4 << 20},
	}
}

func (b *behavior) Reactors() map[byte]compat.Reactor {
	return map[byte]compat.Reactor{chA: b, chB: b}
}
func (b *behavior) HandlePeerError(_ compat.PeerConn, err error) { b.errs <- err }
func (b *behavior) IsPersistentPeer(types.ID) bool               { return false }
func (b *behavior) IsPrivatePeer(types.ID) bool                  { return true }

func (b *behavior) Receive(ch byte, _ compat.PeerConn, msg []byte) {
	b.messages <- received{ch, string(msg)}
}

func nodeInfo(id types.ID, network string) types.NodeInfo {
	return types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &types.NetAddress{ID: id, IP: net.IPv4(127, 0, 0, 1)},
		Network:    network,
		Version:    "v1.0.0",
		Channels:   []byte{chA, chB},
		Moniker:    "test",
	}
}

// newTransport returns a transport whose handshakes succeed however busy the machine is.
func newTransport(t *testing.T, network string) *MultiplexTransport {
	t.Helper()
	mt := newDefaultTransport(t, network)
	mt.timeout = testTimeout

	return mt
}

// newDefaultTransport is for tests of simulated time, and of the defaults.
func newDefaultTransport(t *testing.T, network string) *MultiplexTransport {
	t.Helper()
	key := types.GenerateNodeKey()
	mt := NewMultiplexTransport(nodeInfo(key.ID(), network), *key, mconn.DefaultMConnConfig(), nil)
	t.Cleanup(func() { require.NoError(t, mt.Close()) })

	return mt
}

func listen(t *testing.T, network string) *MultiplexTransport {
	t.Helper()
	mt := newTransport(t, network)
	require.NoError(t, mt.Listen(loopback()))

	return mt
}

// establish makes a peer of a connection, as Dial and Accept do; dialed is nil for
// an inbound one. On an error it closes the connection.
func establish(
	t *testing.T, mt *MultiplexTransport, conn net.Conn, dialed *types.NetAddress, b compat.PeerBehavior,
) (compat.PeerConn, error) {
	t.Helper()
	pending, err := mt.upgrade(t.Context(), conn, dialed)
	if err != nil {
		require.NoError(t, conn.Close())

		return nil, err
	}

	return mt.newPeer(pending, b)
}

func loopback() types.NetAddress { return types.NetAddress{IP: net.IPv4(127, 0, 0, 1)} }

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)

	return ctx
}

// connect returns the two ends of a connection, not started.
func connect(t *testing.T, dialer, listener *MultiplexTransport, bd, bl compat.PeerBehavior) (out, in compat.PeerConn) {
	t.Helper()

	return connectAt(t, dialer, listener, listener.NetAddress(), bd, bl)
}

// connectAt is connect by the given address of the listener.
func connectAt(
	t *testing.T, dialer, listener *MultiplexTransport, addr types.NetAddress, bd, bl compat.PeerBehavior,
) (out, in compat.PeerConn) {
	t.Helper()
	ctx := testContext(t)
	accepted := make(chan compat.PeerConn, 1)
	go func() {
		p, err := listener.Accept(ctx, bl)
		if err != nil {
			t.Errorf("accept: %v", err)
		}
		accepted <- p
	}()
	out, err := dialer.Dial(ctx, addr, bd)
	require.NoError(t, err)

	return out, <-accepted
}

func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(testTimeout):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func dialString(mt *MultiplexTransport) string {
	addr := mt.NetAddress()

	return addr.DialString()
}
