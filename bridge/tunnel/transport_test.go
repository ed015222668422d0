package tunnel

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// behindBridge is a transport that native nodes dial at a bridge.
type behindBridge struct {
	*Transport
	at types.NetAddress
}

func (b *behindBridge) NetAddress() types.NetAddress { return b.at }

// A native node and one behind a tunnel, which dial each other, keep the contract of a transport.
func TestTunnelConformance(t *testing.T) {
	compattest.TestTransport(t, func(t *testing.T, a, b compattest.Spec) (compat.Transport, compat.Transport) {
		t.Helper()
		outside := native.NewMultiplexTransport(a.Info, a.Key, mconn.DefaultMConnConfig(), nil)
		t.Cleanup(func() { require.NoError(t, outside.Close()) })
		require.NoError(t, outside.Listen(*a.Info.NetAddress))
		reached := outside.NetAddress()

		bridge := newSide(t, types.GenerateNodeKey(), true)
		server, err := Serve(bridge, Config{
			Targets: []Target{{Node: types.NetAddress{ID: b.Key.ID()}, Listen: loopback()}}, Reach: reach(reached), times: patientTimes(),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, server.Close()) })
		side, err := lp2p.NewTransport(b.Info, b.Key, nil, patientTimeouts())
		require.NoError(t, err)
		inside := NewTransport(side, b.Key, mconn.DefaultMConnConfig(), []types.NetAddress{bridge.NetAddress()},
			[]types.ID{a.Key.ID()}, nil)
		inside.sockets.times = patientTimes()
		t.Cleanup(func() { require.NoError(t, inside.Close()) })
		require.NoError(t, inside.Listen(loopback()))
		require.Eventually(t, func() bool {
			server.mtx.Lock()
			defer server.mtx.Unlock()

			return server.kept[b.Key.ID()] == 1
		}, patience, time.Millisecond)

		return outside, &behindBridge{inside, server.Addresses()[0]}
	})
}

// One switch has libp2p peers and native ones through a tunnel.
func TestOneSwitchHasBothKinds(t *testing.T) {
	far := startNative(t, types.GenerateNodeKey(), nil)
	bridge, key := newSide(t, types.GenerateNodeKey(), true), types.GenerateNodeKey()
	server, err := Serve(bridge, Config{
		Targets: []Target{{Node: types.NetAddress{ID: key.ID()}, Listen: loopback()}}, Reach: reach(far.at), times: patientTimes(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	side, err := lp2p.NewTransport(infoOf(key), *key, nil, patientTimeouts())
	require.NoError(t, err)
	at := bridge.NetAddress()
	at.ID = types.ID(strings.ToUpper(at.ID.String())) // any form of the ID will do
	tr := NewTransport(side, *key, mconn.DefaultMConnConfig(), []types.NetAddress{at}, []types.ID{far.key.ID()}, nil)
	tr.sockets.times = patientTimes()
	n := startOn(t, key, tr)
	friendKey := types.GenerateNodeKey()
	friendSide, err := lp2p.NewTransport(infoOf(friendKey), *friendKey, nil, patientTimeouts())
	require.NoError(t, err)
	friend := startOn(t, friendKey, friendSide)

	stacks := map[types.ID]types.Stack{}
	for _, at := range []types.NetAddress{far.at, friend.at} {
		p := n.join(t, at)
		stacks[p.ID()] = p.(compat.StackReporter).Stack()
		if p.ID() == far.key.ID() {
			require.Equal(t, bridge.NetAddress().ID, compat.TunneledBy(p))
		}
	}
	require.Equal(t, map[types.ID]types.Stack{far.key.ID(): types.StackNative, friendKey.ID(): types.StackLibp2p}, stacks)
	next(t, far.added)
	next(t, friend.added)
	for _, p := range n.sw.Peers().List() {
		require.True(t, p.Send(channel, []byte("to all")))
	}
	require.Equal(t, "to all", next(t, far.received))
	require.Equal(t, "to all", next(t, friend.received))
}

// A native node that comes through a tunnel is told where libp2p peers of three networks have dialed
// the node.
func TestNativePeersAreToldWhereTheNodeIs(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	bridge, key := newSide(t, types.GenerateNodeKey(), true), types.GenerateNodeKey()
	server, err := Serve(bridge, Config{Targets: []Target{{Node: types.NetAddress{ID: key.ID()}, Listen: loopback()}}, times: patientTimes()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	var log stacktest.Log
	info := infoOf(key)
	info.NetAddress.IP = net.IPv4zero
	side, err := lp2p.NewTransport(info, *key, slog.New(slog.NewTextHandler(&log, nil)), patientTimeouts())
	require.NoError(t, err)
	tr := NewTransport(side, *key, mconn.DefaultMConnConfig(), []types.NetAddress{bridge.NetAddress()}, nil, nil)
	tr.sockets.times = patientTimes()
	n := startAt(t, key, tr, types.NetAddress{IP: net.IPv4zero})
	at := n.at
	at.IP = net.ParseIP("8.8.8.8")
	for _, ip := range []string{"51.0.0.1", "52.0.0.1", "53.0.0.1"} {
		key := types.GenerateNodeKey()
		from, err := lp2p.NewTransport(infoOf(key), *key, nil, patientTimeouts(), lp2p.WithSockets(stacktest.SocketsFrom{IP: net.ParseIP(ip)}))
		require.NoError(t, err)
		startOn(t, key, from).join(t, at)
	}
	require.Eventually(t, func() bool { return log.Count("have dialed this node at an address") == 1 }, patience, time.Millisecond)
	require.Eventually(t, func() bool {
		server.mtx.Lock()
		defer server.mtx.Unlock()

		return server.kept[key.ID()] == 1
	}, patience, time.Millisecond, "the node keeps in reach")
	far := startNative(t, types.GenerateNodeKey(), nil)
	require.Equal(t, at.DialString(), far.join(t, server.Addresses()[0]).NodeInfo().NetAddress.DialString())
}

// startOn starts a node on a transport, which the test closes.
func startOn(t *testing.T, key *types.NodeKey, tr compat.ListeningTransport) *node {
	t.Helper()

	return startAt(t, key, tr, loopback())
}

func startAt(t *testing.T, key *types.NodeKey, tr compat.ListeningTransport, at types.NetAddress) *node {
	t.Helper()
	n := &node{key: key, added: make(chan compat.PeerConn, 8), removed: make(chan types.ID, 8), received: make(chan string, 8)}
	n.BaseReactor = *compat.NewBaseReactor("test", n)
	require.NoError(t, tr.Listen(at))
	n.at = tr.NetAddress()
	n.sw = adapter.NewMultiplexSwitch(tr, adapter.WithReactor("test", n), adapter.WithAllowDuplicateIP(true))
	require.NoError(t, n.sw.Start())
	t.Cleanup(func() {
		require.NoError(t, n.sw.Stop())
		require.NoError(t, tr.Close())
	})

	return n
}
