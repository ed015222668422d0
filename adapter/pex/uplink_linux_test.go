package pex_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// patience only ends a test that has already failed.
const patience = time.Minute

// machine is a node at an IP, from which it dials too.
type machine struct {
	*adapter.MultiplexSwitch
	tr   compat.ListeningTransport
	addr *types.NetAddress
}

// newMachine returns a node that listens and has not started. Its handshakes succeed however busy the
// machine is.
func newMachine(t *testing.T, stack types.Stack, key *types.NodeKey, ip string, book *addrbook.Book) machine {
	t.Helper()
	m, sockets := machine{addr: &types.NetAddress{ID: key.ID(), IP: net.ParseIP(ip), Port: 26656}}, stacktest.SocketsFrom{IP: net.ParseIP(ip)}
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}}, NetAddress: m.addr,
		Network: "uplink", Version: "v1.0.0", Channels: []byte{pex.Channel}, Moniker: ip,
	}
	m.tr = native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil,
		native.WithSockets(sockets), leeway.Handshake(patience).(native.Option))
	if stack == types.StackLibp2p {
		var err error
		timeouts := lp2p.DefaultTimeouts()
		timeouts.Dial, timeouts.Handshake = patience, patience
		m.tr, err = lp2p.NewTransport(info, *key, nil, lp2p.WithSockets(sockets), lp2p.WithAddrBook(book), lp2p.WithTimeouts(timeouts))
		require.NoError(t, err)
	}
	require.NoError(t, m.tr.Listen(*m.addr))
	m.MultiplexSwitch = adapter.NewMultiplexSwitch(m.tr,
		adapter.WithReactor("discovery", pex.NewReactor(book, pex.WithDiscoveryInterval(100*time.Millisecond))))

	return m
}

func (m machine) end(t *testing.T) {
	t.Helper()
	require.NoError(t, m.Stop())
	require.NoError(t, m.tr.Close())
}

// A node whose machine has no route to anybody for a while, and that knows no seed, counts no
// failure against its book, and is connected again once the route is back.
func TestNodeWithoutUplinkKeepsItsBook(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	for stack, ips := range map[types.Stack][2]string{
		types.StackNative: {"51.0.0.1", "52.0.0.1"}, types.StackLibp2p: {"53.0.0.1", "54.0.0.1"},
	} {
		t.Run(string(stack), func(t *testing.T) {
			netnstest.IP(t, "addr add "+ips[0]+"/32 dev lo")
			friend := newMachine(t, stack, types.GenerateNodeKey(), ips[1], openBook(t, ""))
			require.NoError(t, friend.Start())
			defer friend.end(t)
			key, book := types.GenerateNodeKey(), openBook(t, "")
			first := newMachine(t, stack, key, ips[0], book)
			connected, done := first.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerConnected })
			defer done()
			require.NoError(t, first.Start())
			first.DialPeers(friend.addr)
			stacktest.Next(t, connected, patience)
			first.end(t)
			require.Len(t, book.Of(friend.addr.ID), 1)

			netnstest.IP(t, "route del local 0.0.0.0/0 dev lo")
			n := newMachine(t, stack, key, ips[0], book)
			defer n.end(t)
			happened, done := n.Subscribe(func(e events.Event) bool {
				return e.Type() == events.DialFailed || e.Type() == events.PeerConnected
			})
			defer done()
			require.NoError(t, n.Start())
			e, failed := stacktest.Next(t, happened, patience).(events.DialFailedEvent)
			require.True(t, failed)
			require.True(t, compat.IsNoRoute(e.Reason), "%v", e.Reason)
			known := func() *addrbook.Entry { return &book.Of(friend.addr.ID)[0] }
			require.Eventually(t, func() bool { return !known().Due(time.Now()) }, patience, time.Millisecond)
			require.Zero(t, known().Failures)
			netnstest.IP(t, "route add local 0.0.0.0/0 dev lo")
			back := time.Now()
			for stacktest.Next(t, happened, patience).Type() != events.PeerConnected {
			}
			t.Logf("%s: connected again %s after the route was back", t.Name(), time.Since(back).Round(time.Millisecond))
		})
	}
}
