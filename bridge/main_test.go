package bridge

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout only ends a test that has already failed.
const testTimeout = 2 * time.Minute

const (
	chVotes byte = 0x22
	chTxs   byte = 0x30
)

// overQUIC is a libp2p node that dials QUIC only.
const overQUIC = "quic"

type message struct {
	from types.ID
	ch   byte
	data string
}

// node is a switch with one reactor that passes on what it sees.
type node struct {
	compat.BaseReactor

	stack    string
	sw       *adapter.MultiplexSwitch
	address  types.NetAddress
	channels []byte
	added    chan compat.PeerConn
	removed  chan types.ID
	messages chan message
	late     int // dials that tryToJoin has repeated
	stop     func()
	receive  atomic.Pointer[func(message)] // sees a message first; may be nil
}

// transport is what both stacks offer a node.
type transport = compat.ListeningTransport

func loopback() types.NetAddress { return types.NetAddress{IP: net.IPv4(127, 0, 0, 1)} }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newNode(t *testing.T, stack string, channels ...byte) *node {
	t.Helper()

	return newNodeOf(t, stack, types.GenerateNodeKey(), channels...)
}

func newNodeOf(t *testing.T, stack string, key *types.NodeKey, channels ...byte) *node {
	t.Helper()

	return startNode(t, stack, key, channels)
}

// startNode starts a node with further options that depend on its transport.
func startNode(
	t *testing.T, stack string, key *types.NodeKey, channels []byte, more ...func(transport) adapter.SwitchOption,
) *node {
	t.Helper()

	return startNodeAt(t, stack, key, loopback(), channels, more...)
}

// startNodeAt is startNode at an address.
func startNodeAt(
	t *testing.T, stack string, key *types.NodeKey, at types.NetAddress, channels []byte, more ...func(transport) adapter.SwitchOption,
) *node {
	t.Helper()

	return startNodeLogging(t, quiet(), stack, key, at, channels, more...)
}

// startNodeLogging is startNodeAt with a logger for all parts of the node.
func startNodeLogging(
	t *testing.T, logger *slog.Logger, stack string, key *types.NodeKey, at types.NetAddress, channels []byte,
	more ...func(transport) adapter.SwitchOption,
) *node {
	t.Helper()
	if channels == nil {
		channels = []byte{chVotes, chTxs}
	}
	n := &node{
		stack:    stack,
		channels: channels,
		added:    make(chan compat.PeerConn, 16),
		removed:  make(chan types.ID, 16),
		messages: make(chan message, 4096),
	}
	n.BaseReactor = *compat.NewBaseReactor("test", n)

	addr := loopback()
	addr.ID = key.ID()
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &addr, Network: "bridged", Version: "v1.0.0", Channels: channels, Moniker: stack,
	}
	tr := newTransport(t, logger, stack, info, *key)
	require.NoError(t, tr.Listen(at))
	n.address = tr.NetAddress()
	opts := []adapter.SwitchOption{adapter.WithReactor("test", n), adapter.WithAllowDuplicateIP(true), adapter.WithLogger(logger)}
	for _, opt := range more {
		opts = append(opts, opt(tr))
	}
	n.sw = adapter.NewMultiplexSwitch(tr, opts...)
	require.NoError(t, n.sw.Start())

	n.stop = sync.OnceFunc(func() {
		require.NoError(t, n.sw.Stop())
		require.NoError(t, tr.Close())
	})
	t.Cleanup(n.stop)

	return n
}

func newTransport(t *testing.T, logger *slog.Logger, stack string, info types.NodeInfo, key types.NodeKey) transport {
	t.Helper()
	if stack == InitiatorNative {
		return native.NewMultiplexTransport(info, key, mconn.DefaultMConnConfig(), logger)
	}
	opts := []lp2p.Option{patientTimeouts()}
	if stack == overQUIC {
		opts = append(opts, lp2p.WithQUICOnly())
	}
	tr, err := lp2p.NewTransport(info, key, logger, opts...)
	require.NoError(t, err)

	return tr
}

// patientTimeouts bound steps of libp2p that have to succeed on a busy machine.
func patientTimeouts() lp2p.Option {
	timeouts := lp2p.DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake, timeouts.Flush = testTimeout, testTimeout, testTimeout

	return lp2p.WithTimeouts(timeouts)
}

func (n *node) GetChannels() []*compat.ChannelDescriptor {
	var descs []*compat.ChannelDescriptor
	for _, id := range n.channels {
		descs = append(descs, &compat.ChannelDescriptor{ID: id, Priority: 5, SendQueueCapacity: 100})
	}

	return descs
}

func (n *node) AddPeer(p compat.PeerConn)           { n.added <- p }
func (n *node) RemovePeer(p compat.PeerConn, _ any) { n.removed <- p.ID() }

func (n *node) Receive(ch byte, p compat.PeerConn, msg []byte) {
	m := message{p.ID(), ch, string(msg)}
	if see := n.receive.Load(); see != nil {
		(*see)(m)
	}
	n.messages <- m
}

// freePort returns an address at which a node can start, and again after it has stopped.
func freePort(t *testing.T) types.NetAddress {
	t.Helper()
	at := loopback()
	at.Port = stacktest.FreePortAt(t, at.IP)

	return at
}

// newBridge starts a bridge for nodes that share the IP 127.0.0.1.
func newBridge(t *testing.T, config Config) *Bridge {
	t.Helper()
	config.AllowDuplicateIP = true

	return newBridgeWith(t, config, func(*Bridge) {})
}

// newBridgeWith changes the bridge before it starts.
func newBridgeWith(t *testing.T, config Config, change func(*Bridge)) *Bridge {
	t.Helper()
	config.NativeListen, config.Libp2pListen = loopback(), loopback()
	b, err := New(*types.GenerateNodeKey(), config, quiet())
	require.NoError(t, err)
	b.patient()
	change(b)
	require.NoError(t, b.Start())
	t.Cleanup(func() {
		if b.IsRunning() {
			require.NoError(t, b.Stop())
		}
	})

	return b
}

// patient makes the bridge, which has not started, wait for targets that are slow, which then lose to no
// others. Native nodes still hang up after native.HandshakeTimeout.
func (b *Bridge) patient() {
	b.pairTimeout, b.patience = testTimeout, testTimeout
	b.libp2pOptions = append(b.libp2pOptions, patientTimeouts())
}

func addresses(nodes ...*node) []*types.NetAddress {
	var addrs []*types.NetAddress
	for _, n := range nodes {
		addrs = append(addrs, &n.address)
	}

	return addrs
}

func (n *node) dial(addr types.NetAddress) { n.sw.DialPeers(&addr) }

// join dials the bridge and returns whom the node has met. A refusal fails the test, unless it follows a
// late dial: the bridge may not dial a target again that it has just dialed for that one.
func (n *node) join(t *testing.T, at types.NetAddress) compat.PeerConn {
	t.Helper()
	late := n.late
	for begun := time.Now(); ; {
		p, err := n.tryToJoin(t, at)
		if err == nil {
			return p
		}
		require.Greater(t, n.late, late, "the node has got no peer: %v", err)
		require.Less(t, time.Since(begun), testTimeout, "the node has got no peer: %v", err)
	}
}

// joinAtLast is join of a node that is refused until the bridge is ready for it, and does not give up.
func (n *node) joinAtLast(t *testing.T, at types.NetAddress) compat.PeerConn {
	t.Helper()
	for begun := time.Now(); ; {
		p, err := n.tryToJoin(t, at)
		if err == nil {
			return p
		}
		require.Less(t, time.Since(begun), testTimeout, "the node has found nobody: %v", err)
	}
}

// comes reports whether the node gets a pair when it dials the address.
func (n *node) comes(t *testing.T, at types.NetAddress) bool {
	t.Helper()
	_, err := n.tryToJoin(t, at)

	return err == nil
}

// tryToJoin dials the address and returns whom the node has met, or why it was refused. It dials again
// when a dial was late, which is no refusal.
func (n *node) tryToJoin(t *testing.T, at types.NetAddress) (compat.PeerConn, error) {
	t.Helper()
	failed, done := n.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	over := time.After(testTimeout)
	for {
		begun := time.Now()
		n.dial(at)
		select {
		case p := <-n.added:
			return p, nil
		case e := <-failed:
			reason := e.(events.DialFailedEvent).Reason
			if !wasLate(begun, reason) {
				return nil, reason
			}
			n.late++
			t.Logf("a late dial is repeated: %v", reason)
		case <-over:
			require.FailNow(t, "neither a peer nor a refusal")
		}
	}
}

// wasLate tells whether a dial may have failed since a node or the bridge has waited too long for
// another one, as on a busy machine. A native node that has waited too long just hangs up, as it does
// when it refuses a peer, but nobody gives up before pairTimeout.
func wasLate(begun time.Time, reason error) bool {
	return compat.ClassifyDial(reason) == compat.DialTimedOut || time.Since(begun) >= pairTimeout
}

// met returns the peer that the node has since another one has joined the bridge. Dials that came too
// late for their nodes may have been its peers before.
func (n *node) met(t *testing.T) compat.PeerConn {
	t.Helper()
	for {
		p := next(t, n.added)
		if n.sw.Peers().Get(p.ID()) == p {
			return p
		}
		next(t, n.removed)
	}
}

// nextNative waits for a native node that the bridge presents: libp2p nodes that know of
// each other may have several sessions, until one is left.
func (n *node) nextNative(t *testing.T) {
	t.Helper()
	nextNativeOf(t, n, n)
}

// nextNativeOf is nextNative for either of two nodes, and returns which one it was.
func nextNativeOf(t *testing.T, a, b *node) (met *node) {
	t.Helper()
	over := time.After(testTimeout)
	for {
		var p compat.PeerConn
		select {
		case p = <-a.added:
			met = a
		case p = <-b.added:
			met = b
		case <-over:
			require.FailNow(t, "no native node came")
		}
		if p.NodeInfo().Moniker == InitiatorNative {
			return met
		}
	}
}

func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()

	return stacktest.Next(t, ch, testTimeout)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
