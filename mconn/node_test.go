package mconn

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

type message struct {
	ch   byte
	data string
}

// node is a connection under test. It collects delivered messages and errors.
type node struct {
	*MConnection

	mu     sync.Mutex
	got    []message
	errs   []error
	failed chan struct{}             // closed by the first error
	during func(ch byte, msg []byte) // called in onReceive, if set before Start
}

func newNode(tb testing.TB, conn net.Conn, config MConnConfig, descs ...*compat.ChannelDescriptor) *node {
	tb.Helper()

	n := &node{failed: make(chan struct{})}
	mc, err := NewMConnectionWithConfig(conn, descs, n.receive, n.fail, config)
	require.NoError(tb, err)
	n.MConnection = mc

	return n
}

func startNode(tb testing.TB, conn net.Conn, config MConnConfig, descs ...*compat.ChannelDescriptor) *node {
	tb.Helper()

	n := newNode(tb, conn, config, descs...)
	require.NoError(tb, n.Start())

	return n
}

func (n *node) receive(ch byte, msg []byte) {
	n.mu.Lock()
	n.got = append(n.got, message{ch, string(msg)})
	n.mu.Unlock()

	if n.during != nil {
		n.during(ch, msg)
	}
}

func (n *node) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errs = append(n.errs, err)
	if len(n.errs) == 1 {
		close(n.failed)
	}
}

func (n *node) messages() []message {
	n.mu.Lock()
	defer n.mu.Unlock()

	return append([]message(nil), n.got...)
}

func (n *node) errors() []error {
	n.mu.Lock()
	defer n.mu.Unlock()

	return append([]error(nil), n.errs...)
}

// onlyError waits for an error and requires that it is the only one.
func (n *node) onlyError(tb testing.TB) error {
	tb.Helper()
	<-n.failed

	errs := n.errors()
	require.Len(tb, errs, 1)
	require.False(tb, n.IsRunning())

	return errs[0]
}

// stop ends the connection and waits for its goroutines.
func (n *node) stop(tb testing.TB) {
	tb.Helper()

	if n.IsRunning() {
		require.NoError(tb, n.Stop())
	}

	<-n.Done()
}

// desc describes a channel.
func desc(id byte, priority int) *compat.ChannelDescriptor {
	return &compat.ChannelDescriptor{ID: id, Priority: priority, SendQueueCapacity: 100}
}

func unlimited() MConnConfig {
	config := DefaultMConnConfig()
	config.SendRate, config.RecvRate = 0, 0

	return config
}

// advance lets time pass in a synctest bubble and waits until all goroutines block.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// peer is the other end of the connection under test, at the level of packets.
type peer struct {
	tb   testing.TB
	conn net.Conn
}

func (p peer) write(packets ...[]byte) {
	p.tb.Helper()

	for _, packet := range packets {
		_, err := p.conn.Write(packet)
		require.NoError(p.tb, err)
	}
}

// packet reads one packet; its payload is a copy.
func (p peer) packet() wire.Packet {
	p.tb.Helper()

	body, err := wire.ReadSized(p.conn, 1<<20)
	require.NoError(p.tb, err)
	packet, err := wire.DecodePacket(body)
	require.NoError(p.tb, err)

	return packet
}

// packets reads count packets.
func (p peer) packets(count int) []wire.Packet {
	p.tb.Helper()

	all := make([]wire.Packet, count)
	for i := range all {
		all[i] = p.packet()
	}

	return all
}

func piece(ch byte, last bool, payload []byte) []byte {
	return wire.AppendMsg(nil, ch, last, payload)
}

func whole(ch byte, payload string) []byte { return piece(ch, true, []byte(payload)) }

// bubble runs a test in simulated time with a connection over an in-memory conn. It
// stops the connection afterwards.
func bubble(
	t *testing.T, config MConnConfig, descs []*compat.ChannelDescriptor, test func(t *testing.T, n *node, p peer),
) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		n := startNode(t, local, config, descs...)

		test(t, n, peer{t, remote})

		n.stop(t)
		require.NoError(t, remote.Close())
	})
}

// stalled is bubble with one channel whose onReceive blocks for stall. The test
// stops the connection or waits for its end.
func stalled(t *testing.T, stall time.Duration, test func(t *testing.T, n *node, p peer)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		n := newNode(t, local, unlimited(), oneChannel...)
		n.during = func(byte, []byte) { <-time.After(stall) }
		require.NoError(t, n.Start())

		test(t, n, peer{t, remote})

		<-n.Done()
		require.NoError(t, remote.Close())
	})
}

// neverRead runs a test with a connection whose writer is blocked because the peer
// reads nothing. The test waits for the end of the connection.
func neverRead(t *testing.T, test func(t *testing.T, n *node)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(1)
		n := startNode(t, local, unlimited(), oneChannel...)
		require.True(t, n.Send(0x20, []byte("never read")))

		test(t, n)

		<-n.Done()
		require.NoError(t, remote.Close())
	})
}

var oneChannel = []*compat.ChannelDescriptor{desc(0x20, 1)}
