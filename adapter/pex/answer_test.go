package pex_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Neither connected, nor remembered, nor told by others, nor from the file of a
// time when the peer was not private yet.
func TestPrivatePeersAppearInNoAnswer(t *testing.T) {
	path := bookPath(t)
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		private, public := newStranger(t, network, nil), newStranger(t, network, nil)
		asker := newStranger(t, network, nil)
		for _, s := range []*stranger{private, public, asker} {
			defer s.stop(t)
		}
		start := func(info *types.NodeInfo, ids ...types.ID) *node {
			return newNode(t, network, nodeOptions{
				info: info, bookPath: path, sw: []adapter.SwitchOption{adapter.WithPrivatePeers(ids)},
			})
		}
		n := start(nil)
		info := n.tr.NodeInfo()
		connect(t, n, private)
		connect(t, n, public)
		connect(t, asker, n)
		both := texts([]*types.NetAddress{private.addr(), public.addr()})
		require.ElementsMatch(t, both, asker.ask(t, n))
		n.stop(t)

		// The same peer, now private. The reactor learns of it when it connects, here
		// from the book, and forgets it.
		n = start(&info, private.id())
		defer n.stop(t)
		synctest.Wait()
		require.True(t, n.Peers().Has(private.id()))
		connect(t, asker, n)
		onlyPublic := []string{public.addr().String()}
		require.Equal(t, onlyPublic, asker.ask(t, n), "connected")
		require.Equal(t, onlyPublic, texts(n.book.Addresses()))

		disconnect(t, n, private)
		require.Equal(t, onlyPublic, asker.ask(t, n), "remembered")
		// Public has been asked when it was dialed.
		upper := private.addr()
		upper.ID = types.ID(strings.ToUpper(upper.ID.String()))
		public.send(t, n, response(private.addr(), upper))
		require.EqualValues(t, 2, n.pex.Stats().AddressesSkipped)
		require.Equal(t, onlyPublic, asker.ask(t, n), "told by others")
		require.Equal(t, onlyPublic, texts(n.book.Addresses()))
		require.NoError(t, n.book.Flush())

		again, err := addrbook.Open(path, *n.addr())
		require.NoError(t, err)
		require.Equal(t, onlyPublic, texts(again.Addresses()))
	})
}

// A peer that was connected before it was made private is not told even while it
// has not connected again, if the book was opened with its ID.
func TestBookOpenedWithPrivatePeers(t *testing.T) {
	path := bookPath(t)
	addr, other := addrAt("1.2.3.4", 1), addrAt("1.2.3.4", 2)
	book, err := addrbook.Open(path, types.NetAddress{})
	require.NoError(t, err)
	book.MarkConnected(addr, true)
	book.MarkConnected(other, true)
	require.NoError(t, book.Save())

	upper := types.ID(strings.ToUpper(addr.ID.String()))
	book, err = addrbook.Open(path, types.NetAddress{}, addrbook.WithPrivatePeers([]types.ID{upper}))
	require.NoError(t, err)
	require.Equal(t, []string{other.String()}, texts(book.Addresses()))
	book.MarkConnected(addr, true)
	require.Zero(t, book.Add(addrbook.Source{}, addr))
	require.NoError(t, book.Save())

	book, err = addrbook.Open(path, types.NetAddress{})
	require.NoError(t, err)
	require.Equal(t, []string{other.String()}, texts(book.Addresses()), "the file has lost it too")
}

// What nobody can dial is not told, and nothing at all when nothing remains.
func TestUndialablePeersAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n := newNode(t, network, nodeOptions{})
		defer n.stop(t)
		asker := newStranger(t, network, nil)
		defer asker.stop(t)
		connect(t, asker, n)
		require.Nil(t, asker.ask(t, n), "nobody else is connected")

		for _, ip := range []string{"0.0.0.0", "::", "255.255.255.255", "2001:db8::1", "224.0.0.1"} {
			s := newStranger(t, network, infoAt(network, ip))
			defer s.stop(t)
			connect(t, s, n)
		}
		noPort := network.NewNodeInfo(pex.Channel)
		noPort.NetAddress.Port = 0
		s := newStranger(t, network, &noPort)
		defer s.stop(t)
		connect(t, s, n)
		require.Nil(t, asker.ask(t, n))
		require.Zero(t, n.pex.Stats().ResponsesSent)

		fine := newStranger(t, network, nil)
		defer fine.stop(t)
		connect(t, fine, n)
		require.Equal(t, []string{fine.addr().String()}, asker.ask(t, n))
	})
}

// An answer has 30 addresses at most, and not always the same.
func TestAnswerIsARandomSelection(t *testing.T) {
	const peers = 35
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n := newNode(t, network, nodeOptions{sw: []adapter.SwitchOption{adapter.WithMaxOutboundPeers(peers + 1)}})
		defer n.stop(t)
		var all []string
		for range peers {
			s := newStranger(t, network, nil)
			defer s.stop(t)
			connect(t, n, s)
			all = append(all, s.addr().String())
		}
		asker := newStranger(t, network, nil)
		defer asker.stop(t)
		connect(t, asker, n)
		told := make(map[string]bool)
		for round := 0; len(told) < peers; round++ {
			require.Less(t, round, 1000)
			answer := asker.ask(t, n)
			require.Len(t, answer, 30)
			require.Subset(t, all, answer)
			slices.Sort(answer)
			require.Len(t, slices.Compact(answer), 30, "nobody twice")
			for _, addr := range answer {
				told[addr] = true
			}
		}
	})
}

// Former peers fill up an answer, as long as they were connected not long ago, have
// not failed since, and had an address to tell.
func TestFormerPeersAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n := newNode(t, network, nodeOptions{})
		defer n.stop(t)
		asker := newStranger(t, network, nil)
		defer asker.stop(t)
		connect(t, asker, n)
		former, gone, inbound := newStranger(t, network, nil), newStranger(t, network, nil), newStranger(t, network, nil)
		defer former.stop(t)
		defer inbound.stop(t)
		connect(t, n, former)
		connect(t, n, gone)
		connect(t, inbound, n)
		hint := addrAt("10.7.7.7", 7)
		former.send(t, n, response(hint))
		disconnect(t, n, former)
		disconnect(t, n, gone)
		disconnect(t, n, inbound)

		want := texts([]*types.NetAddress{former.addr(), gone.addr()})
		require.ElementsMatch(t, want, asker.ask(t, n), "neither the hint nor who has dialed us")

		gone.stop(t)
		n.DialPeers(gone.addr())
		synctest.Wait()
		require.Equal(t, want[:1], asker.ask(t, n))
		connect(t, n, former)
		require.Equal(t, []string{asker.addr().String()}, former.ask(t, n), "nobody is told of itself")
		disconnect(t, n, former)

		pass(24*time.Hour - 10*time.Second)
		require.Equal(t, want[:1], asker.ask(t, n))
		pass(20 * time.Second)
		require.Nil(t, asker.ask(t, n), "too long ago")
	})
}

// A peer that shows no address to others is not told although the one at which we
// dialed it works, neither while it is connected nor after.
func TestPeerThatShowsNoAddressIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n, asker := newNode(t, network, nodeOptions{}), newStranger(t, network, nil)
		defer n.stop(t)
		defer asker.stop(t)
		connect(t, asker, n)
		hidden := newStranger(t, network, nil)
		defer hidden.stop(t)
		connect(t, n, hidden)
		require.Equal(t, []string{hidden.addr().String()}, asker.ask(t, n))
		disconnect(t, n, hidden)
		require.Equal(t, []string{hidden.addr().String()}, asker.ask(t, n))

		n.book.MarkConnected(hidden.addr(), false)
		require.Nil(t, asker.ask(t, n))
		require.Equal(t, 1, n.book.Size(), "but remembered")
	})
}

// A private address is told to a peer that is on one of the same kind, and believed
// only if the address that this node announces is private too. A loopback address
// passes on loopback, a link-local one nowhere.
func TestPrivateNetworks(t *testing.T) {
	const public, private, loopback, linkLocal, uniqueLocal = "8.8.8.8", "192.168.1.1", "127.0.0.1", "fe80::1", "fd00::1"
	const ownPublic, ownPrivate = "7.7.7.7", "10.99.0.9"
	for _, c := range []struct {
		own, peer, addr string
		everywhere      bool
		told, believed  bool
	}{
		{own: ownPublic, peer: "9.9.9.9", addr: public, told: true, believed: true},
		{own: ownPublic, peer: "10.99.0.1", addr: public, told: true, believed: true},
		{own: ownPrivate, peer: "10.99.0.1", addr: public, told: true, believed: true},
		{own: ownPublic, peer: "9.9.9.9", addr: private},
		{own: ownPrivate, peer: "9.9.9.9", addr: private},
		{own: ownPublic, peer: "9.9.9.9", addr: loopback},
		{own: ownPublic, peer: "9.9.9.9", addr: linkLocal},
		{own: ownPublic, peer: "2606:4700::1", addr: uniqueLocal},
		{own: ownPublic, peer: "10.99.0.1", addr: private, told: true},
		{own: ownPrivate, peer: "10.99.0.1", addr: private, told: true, believed: true},
		{own: ownPublic, peer: "127.0.0.2", addr: loopback, told: true, believed: true},
		{own: ownPrivate, peer: "10.99.0.1", addr: loopback},
		{own: ownPrivate, peer: "127.0.0.2", addr: private},
		{own: ownPublic, peer: "fd00::2", addr: uniqueLocal, told: true},
		{own: ownPrivate, peer: "fd00::2", addr: uniqueLocal, told: true, believed: true},
		{own: "169.254.1.2", peer: "169.254.1.1", addr: linkLocal},
		{own: "0.0.0.0", peer: "10.99.0.1", addr: private, told: true},
		{own: ownPublic, peer: "9.9.9.9", addr: private, everywhere: true, told: true, believed: true},
		{own: ownPublic, peer: "9.9.9.9", addr: loopback, everywhere: true, told: true, believed: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			network := memory.NewNetwork()
			var opts []pex.Option
			if c.everywhere {
				opts = append(opts, pex.WithPrivateNetworks())
			}
			n := newNode(t, network, nodeOptions{info: infoAt(network, c.own), reactor: opts})
			defer n.stop(t)
			known, peer := newStranger(t, network, infoAt(network, c.addr)), newStranger(t, network, infoAt(network, c.peer))
			defer known.stop(t)
			defer peer.stop(t)

			// Told by us, connected and remembered.
			connect(t, n, known)
			connect(t, n, peer)
			var want []string
			if c.told {
				want = []string{known.addr().String()}
			}
			require.Equal(t, want, peer.ask(t, n), "%+v", c)
			disconnect(t, n, known)
			require.Equal(t, want, peer.ask(t, n), "%+v", c)

			// Believed by us.
			hint := addrAt(c.addr, 4)
			before := n.book.Size()
			peer.send(t, n, response(hint))
			want = nil
			if c.believed {
				want = []string{hint.String()}
			}
			added := slices.DeleteFunc(texts(n.book.Addresses()), func(a string) bool { return a != hint.String() })
			require.Equal(t, want, append([]string(nil), added...), "%+v", c)
			require.Equal(t, before+len(want), n.book.Size())
			require.EqualValues(t, 1-len(want), n.pex.Stats().AddressesSkipped)
		})
	}
}

// A response is made of the bytes that TM2 emits.
func TestAnswerDecodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n, asker := newNode(t, network, nodeOptions{}), newStranger(t, network, nil)
		defer n.stop(t)
		defer asker.stop(t)
		known := newStranger(t, network, infoAt(network, "::ffff:5.6.7.8"))
		defer known.stop(t)
		connect(t, known, n)
		connect(t, asker, n)
		asker.send(t, n, wire.AppendRequest(nil))
		want := wire.AppendResponse(nil, []string{known.id().String() + "@5.6.7.8:26656"})
		require.Equal(t, [][]byte{want}, asker.take())
	})
}
