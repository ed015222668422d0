package tunnel

import (
	"net"
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

const (
	channel = 0x30
	// patience only ends a test that has already failed.
	patience = time.Minute
)

func loopback() types.NetAddress { return types.NetAddress{IP: net.IPv4(127, 0, 0, 1)} }

// node is a native node, whose connections may run in tunnels.
type node struct {
	compat.BaseReactor

	key      *types.NodeKey
	at       types.NetAddress
	sw       *adapter.MultiplexSwitch
	added    chan compat.PeerConn
	removed  chan types.ID
	received chan string
	late     int // dials that join has repeated
}

func (*node) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: channel, Priority: 1}}
}
func (n *node) AddPeer(p compat.PeerConn)                     { n.added <- p }
func (n *node) RemovePeer(p compat.PeerConn, _ any)           { n.removed <- p.ID() }
func (n *node) Receive(_ byte, _ compat.PeerConn, msg []byte) { n.received <- string(msg) }

// join dials the address until the node has a peer there: on a busy machine a native handshake may
// take longer than the node waits for it.
func (n *node) join(t *testing.T, at types.NetAddress) compat.PeerConn {
	t.Helper()
	failed, done := n.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	over := time.After(patience)
	for {
		n.sw.DialPeers(&at)
		select {
		case p := <-n.added:
			return p
		case e := <-failed:
			n.late++
			t.Logf("a dial is repeated: %v", e.(events.DialFailedEvent).Reason)
		case <-over:
			require.FailNow(t, "the node has found nobody")
		}
	}
}

// met returns the peer that the node has since another one has joined it. Dials that came too late for
// the other one may have been its peers before.
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

func infoOf(key *types.NodeKey) types.NodeInfo {
	at := loopback()
	at.ID = key.ID()

	return types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}}, NetAddress: &at,
		Network: "tunnel", Version: "v1.0.0", Channels: []byte{channel}, Moniker: "node",
	}
}

// startNative starts a native node; sockets may be nil.
func startNative(t *testing.T, key *types.NodeKey, sockets compat.Sockets) *node {
	t.Helper()

	return startOn(t, key, native.NewMultiplexTransport(infoOf(key), *key, mconn.DefaultMConnConfig(), nil, native.WithSockets(sockets)))
}

// patientTimes bound steps that have to succeed on a busy machine. What a bridge does not answer
// still ends after what its dial may take.
func patientTimes() times { return times{open: patience, dial: patience / 2, next: nextAfter} }

// patientTimeouts do so for libp2p.
func patientTimeouts() lp2p.Option {
	timeouts := lp2p.DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake, timeouts.Flush = patience, patience, patience

	return lp2p.WithTimeouts(timeouts)
}

func newSide(t *testing.T, key *types.NodeKey, listens bool, opts ...lp2p.Option) *lp2p.Transport {
	t.Helper()
	side, err := lp2p.NewTransport(infoOf(key), *key, nil, append([]lp2p.Option{patientTimeouts()}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, side.Close()) })
	if listens {
		require.NoError(t, side.Listen(loopback()))
	}

	return side
}

// world is a bridge with a tunnel to one node that nobody can dial, and the node.
type world struct {
	bridge *lp2p.Transport
	server *Server
	node   *node
	side   *lp2p.Transport // of the node
}

// newWorld makes a world whose node has the options.
func newWorld(t *testing.T, config Config, opts ...lp2p.Option) *world {
	t.Helper()
	w := &world{bridge: newSide(t, types.GenerateNodeKey(), true)}
	key := types.GenerateNodeKey()
	nowhere := loopback()
	nowhere.ID, nowhere.Port = key.ID(), stacktest.FreePortAt(t, nowhere.IP)
	config.Targets = []Target{{Node: nowhere, Listen: loopback()}}
	if config.times == (times{}) {
		config.times = patientTimes()
	}
	var err error
	w.server, err = Serve(w.bridge, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.server.Close()) })
	w.side = newSide(t, key, false, opts...)
	sockets := NewSockets(w.side, []types.NetAddress{w.bridge.NetAddress()}, nil)
	sockets.times = patientTimes()
	t.Cleanup(func() { require.NoError(t, sockets.Close()) })
	w.node = startNative(t, key, sockets)
	require.Eventually(t, func() bool {
		w.server.mtx.Lock()
		defer w.server.mtx.Unlock()

		return w.server.kept[key.ID()] == 1
	}, patience, time.Millisecond, "the node keeps in reach")

	return w
}

// asking returns sockets of a node that listens nowhere, and so asks the bridges only when it dials.
func asking(side *lp2p.Transport, bridges ...types.NetAddress) *Sockets {
	return &Sockets{side: side, bridges: bridges, times: patientTimes()}
}

func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()

	return stacktest.Next(t, ch, patience)
}

// exchange sends a message each way.
func exchange(t *testing.T, a, b compat.PeerConn, na, nb *node) {
	t.Helper()
	require.True(t, a.Send(channel, []byte("to b")))
	require.Equal(t, "to b", next(t, nb.received))
	require.True(t, b.Send(channel, []byte("to a")))
	require.Equal(t, "to a", next(t, na.received))
}

func reach(at types.NetAddress) func() []*types.NetAddress {
	return func() []*types.NetAddress { return []*types.NetAddress{&at} }
}
