package adapter_test

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// patience only ends a test that has already failed.
const patience = time.Minute

// idle is a reactor with a channel.
type idle struct{ compat.BaseReactor }

func (*idle) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: 0x30, Priority: 1}}
}

// startAt starts a switch at an IP, from which it dials too, with nothing else set.
func startAt(t *testing.T, stack types.Stack, ip string, opts ...adapter.SwitchOption) (*adapter.MultiplexSwitch, *types.NetAddress) {
	t.Helper()
	key, sockets := types.GenerateNodeKey(), stacktest.SocketsFrom{IP: net.ParseIP(ip)}
	at := &types.NetAddress{ID: key.ID(), IP: net.ParseIP(ip), Port: 26656}
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}}, NetAddress: at,
		Network: "moves", Version: "v1.0.0", Channels: []byte{0x30}, Moniker: ip,
	}
	var tr compat.ListeningTransport = native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil, native.WithSockets(sockets))
	if stack == types.StackLibp2p {
		var err error
		tr, err = lp2p.NewTransport(info, *key, nil, lp2p.WithSockets(sockets))
		require.NoError(t, err)
	}
	require.NoError(t, tr.Listen(*at))
	r := new(idle)
	r.BaseReactor = *compat.NewBaseReactor("idle", r)
	sw := adapter.NewMultiplexSwitch(tr, append(opts, adapter.WithReactor("idle", r))...)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })

	return sw, at
}

// A node whose machine gets another address is connected again, over real sockets of either stack,
// which would else not notice before a ping is not answered.
func TestNodeOnAMachineThatMoves(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	for stack, ips := range map[types.Stack][3]string{
		types.StackNative: {"51.0.0.1", "51.0.0.2", "52.0.0.1"},
		types.StackLibp2p: {"53.0.0.1", "53.0.0.2", "54.0.0.1"},
	} {
		t.Run(string(stack), func(t *testing.T) {
			t.Parallel() // most of it is the time between two looks
			netnstest.IP(t, "addr add "+ips[0]+"/32 dev lo")
			peer, at := startAt(t, stack, ips[2])
			require.NoError(t, peer.Start())
			t.Cleanup(func() { require.NoError(t, peer.Stop()) })
			var log stacktest.Log
			sw, _ := startAt(t, stack, ips[0], adapter.WithPersistentPeers([]*types.NetAddress{at}),
				adapter.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			looks := adapter.CountLooks(sw)
			changes, unsubscribe := sw.Subscribe(func(e events.Event) bool {
				return e.Type() == events.PeerConnected || e.Type() == events.PeerDisconnected
			})
			defer unsubscribe()
			require.NoError(t, sw.Start())
			t.Cleanup(func() { require.NoError(t, sw.Stop()) })
			require.Equal(t, events.PeerConnected, stacktest.Next(t, changes, patience).Type())
			stacktest.Next(t, looks, patience) // the address is known to be there
			netnstest.IP(t, "addr add "+ips[1]+"/32 dev lo")
			netnstest.IP(t, "addr del "+ips[0]+"/32 dev lo")
			moved := time.Now()
			require.Equal(t, events.PeerDisconnected, stacktest.Next(t, changes, patience).Type())
			require.Equal(t, events.PeerConnected, stacktest.Next(t, changes, patience).Type())
			t.Logf("%s: connected again %s after the address was lost", t.Name(), time.Since(moved).Round(time.Millisecond))
			require.Contains(t, log.String(), "an address of this machine is gone")
			require.Eventually(t, func() bool { return len(peer.Peers().List()) == 1 }, patience, time.Millisecond)
		})
	}
}
