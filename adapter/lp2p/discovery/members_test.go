package discovery_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
)

// Nodes of another network, and of none, take part in the DHT of this one, and are
// never dialed by a node whose slots are full. It finds them out all the same, and
// tells nobody of them any more.
func TestForeignMembersAreFoundOut(t *testing.T) {
	n := newNode(t, spec{dht: []discovery.Option{
		discovery.WithMaxOutboundPeers(0), discovery.WithRefreshInterval(100 * time.Millisecond),
	}})
	friend := newNode(t, spec{seeds: []*node{n}, dht: []discovery.Option{discovery.WithMaxOutboundPeers(0)}})
	foreign := newNode(t, spec{network: "other", silent: true})
	none := newStranger(t)
	asked := make(chan struct{}, 2)
	nobody := func() []peer.AddrInfo {
		select {
		case asked <- struct{}{}:
		default:
		}

		return nil
	}
	where := peer.AddrInfo{ID: n.t.Host().ID(), Addrs: n.t.Host().Network().ListenAddresses()}
	serveDHT(foreign.t.Host(), n.d.Protocol(), nobody)
	require.NoError(t, foreign.t.Host().Connect(timeout(t), where))
	<-asked
	serveDHT(none, n.d.Protocol(), nobody)
	none.meet(t, n)
	await(t, "both are found out", func() bool { return n.d.Stats().Refused == 2 }, n)
	await(t, "only the friend is left", func() bool { return n.d.Stats().Table == 1 }, n)
	refreshes := n.d.Stats().Refreshes
	await(t, "two more refreshes", func() bool { return n.d.Stats().Refreshes > refreshes+1 }, n)
	require.Equal(t, 1, n.d.Stats().Table, "they stay out, and the friend in")
	require.EqualValues(t, 2, n.d.Stats().PeersRefused)

	s := newStranger(t)
	s.meet(t, n)
	require.Len(t, s.findNode(t, n, []byte(friend.t.Host().ID())), 1)
	for _, id := range []peer.ID{foreign.t.Host().ID(), none.ID()} {
		for _, told := range s.findNode(t, n, []byte(id)) {
			require.NotEqual(t, id, told.ID)
		}
	}
}

// A node of another network whose session was refused is handed out to nobody, by a
// node that does not dial, without waiting for a refresh.
func TestRefusedForeignNodeIsNotTold(t *testing.T) {
	hub := newNode(t, spec{network: "beta", dht: []discovery.Option{discovery.WithMaxOutboundPeers(0)}})
	alien := newNode(t, spec{network: "alpha", silent: true})
	serveDHT(alien.t.Host(), hub.d.Protocol(), func() []peer.AddrInfo { return nil })
	failed := failures(t, alien)
	alien.DialPeers(hub.addr())
	select {
	case <-failed:
	case <-timeout(t).Done():
		require.Fail(t, "not refused")
	}
	require.NoError(t, alien.t.Host().Connect(timeout(t), peer.AddrInfo{
		ID: hub.t.Host().ID(), Addrs: hub.t.Host().Network().ListenAddresses(),
	}))
	await(t, "it is found out", func() bool { return hub.d.Stats().Refused == 1 && hub.d.Stats().Table == 0 }, hub)
	s := newStranger(t)
	s.meet(t, hub)
	require.Empty(t, s.findNode(t, hub, []byte(alien.t.Host().ID())))
}

// A member of the DHT announces an address of this node's own network. The node
// believes none of those, and is not made to connect there.
func TestAnnouncedAddressesAreNotDialedInside(t *testing.T) {
	v := newVictim(t)
	inside := multiaddr.StringCast("/ip4/127.0.0.1/tcp/" + v.port())
	liar := newNode(t, spec{silent: true, transport: []lp2p.Option{lp2p.WithLibp2pOptions(
		libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return []multiaddr.Multiaddr{inside} }),
	)}})
	n := newNode(t, spec{seeds: []*node{liar}, dht: []discovery.Option{
		discovery.WithPrivateAddresses(false), discovery.WithMaxOutboundPeers(0),
		discovery.WithRefreshInterval(200 * time.Millisecond),
	}})
	serveDHT(liar.t.Host(), n.d.Protocol(), func() []peer.AddrInfo { return nil })
	await(t, "liar is in the table", func() bool { return n.d.Stats().Table == 1 }, n)
	await(t, "its address is known", func() bool {
		return multiaddr.Contains(n.t.Host().Peerstore().Addrs(liar.t.Host().ID()), inside)
	}, n)
	for range 5 {
		sent := n.d.Stats().QueriesSent
		for _, c := range liar.t.Host().Network().ConnsToPeer(n.t.Host().ID()) {
			require.NoError(t, c.Close())
		}
		await(t, "it is asked again, where the operator says that it is",
			func() bool { return n.d.Stats().QueriesSent > sent }, n)
	}
	require.Zero(t, v.conns.Load())
}

// What others say of a peer that is not there any more is told to nobody.
func TestHintsAreNotPassedOn(t *testing.T) {
	v := newVictim(t)
	lie := multiaddr.StringCast("/ip4/127.0.0.1/tcp/" + v.port())
	friend := newNode(t, spec{dht: []discovery.Option{discovery.WithMaxOutboundPeers(0)}})
	liar := newNode(t, spec{silent: true})
	about := friend.t.Host().ID()
	serveDHT(liar.t.Host(), friend.d.Protocol(), func() []peer.AddrInfo {
		return []peer.AddrInfo{{ID: about, Addrs: []multiaddr.Multiaddr{lie}}}
	})
	n := newNode(t, spec{seeds: []*node{friend, liar}})
	await(t, "both are in the table", func() bool { return n.d.Stats().Table == 2 }, n)
	friend.stop()
	s := newStranger(t)
	s.meet(t, n)
	told := func() {
		for _, info := range s.findNode(t, n, []byte(about)) {
			require.False(t, info.ID == about && multiaddr.Contains(info.Addrs, lie))
		}
	}
	await(t, "the lie was believed", func() bool {
		told()
		n.d.RemovePeer(nil, nil) // as if there were a slot to fill

		return v.conns.Load() > 0
	}, n)
	walks := n.d.Stats().Walks
	n.d.RemovePeer(nil, nil)
	await(t, "another walk", func() bool { told(); return n.d.Stats().Walks > walks }, n)
	told()
}
