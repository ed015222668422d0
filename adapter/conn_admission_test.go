package adapter

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestAdmitConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		friend, u, a := newNode(t, network), newNode(t, network), newNode(t, network)
		elsewhere := *friend.addr()
		elsewhere.Port++
		hub := newNode(t, network, WithMaxInboundPeers(1),
			WithPersistentPeers([]*types.NetAddress{&elsewhere}), WithUnconditionalPeers([]types.ID{u.id()}))
		defer start(t, friend, u, a, hub)()
		ask := func() error { return hub.behavior.AdmitConn(sharedIP) }
		require.NoError(t, ask())
		connect(t, a, hub)
		require.NoError(t, ask(), "two exempt peers may come")
		connect(t, friend, hub)
		require.NoError(t, ask(), "one may")
		connect(t, u, hub)
		requireCode(t, compat.RejectFull, ask())
		hub.StopPeerForError(hub.Peers().Get(friend.id()), nil)
		synctest.Wait()
		require.NoError(t, ask(), "it may come again")
		connect(t, friend, hub)
		requireCode(t, compat.RejectFull, ask())

		evs, cancel := refusals(hub)
		defer cancel()
		require.Error(t, ask())
		require.Empty(t, collect(evs), "nobody is there to be named")
		require.NoError(t, hub.Stop())
		requireCode(t, compat.RejectClosing, ask())
	})
}

// A peer whose former connection is being removed gets that one's slot.
func TestAdmitConnOfAPeerThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, hub := newNode(t, network), newNode(t, network, WithMaxInboundPeers(1))
		defer start(t, a, hub)()
		connect(t, a, hub)
		ask := func() error { return hub.behavior.AdmitConn(sharedIP) }
		requireCode(t, compat.RejectFull, ask())
		leave := make(chan struct{})
		hub.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-leave }
		require.True(t, a.Peers().Get(hub.id()).Send(chA, []byte("1")))
		synctest.Wait()
		hub.StopPeerForError(hub.Peers().Get(a.id()), nil)
		require.NoError(t, ask())
		require.True(t, hub.Peers().Has(a.id()), "it is still there")
		close(leave)
	})
}

// The rule of one peer per IP closes connections before the handshake too, unless an exempt
// peer may come from the IP.
func TestAdmitConnGuardsIPs(t *testing.T) {
	for name, opts := range map[string][]SwitchOption{
		"guarded":    nil,
		"allowed":    {WithAllowDuplicateIP(true)},
		"a delegate": {WithUnconditionalPeers([]types.ID{testID(1)})},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				hub := newNode(t, network, opts...)
				a := newNodeAt(t, network, sharedIP, 1)
				defer start(t, hub, a)()
				connect(t, a, hub)
				require.NoError(t, hub.behavior.AdmitConn(net.IPv4(10, 100, 0, 2)))
				err := hub.behavior.AdmitConn(sharedIP)
				if opts != nil {
					require.NoError(t, err)

					return
				}
				requireCode(t, compat.RejectFull, err)
			})
		})
	}
}

// AdmitConn refuses exactly when AdmitPeer would refuse everybody, in any state of the registry.
// A connected peer that is not exempt is expected from its own host only.
func TestAdmitConnAgreesWithAdmitPeer(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	var answers [2]int
	for round := range 3000 {
		sw, ids := randomRegistry(rng)
		anybody := append(ids, testID(99))
		for host := range 3 {
			ip := testIP(host)
			var may bool
			for _, id := range anybody {
				for _, delegate := range append([]types.ID{""}, anybody...) {
					who := sw.candidate(id, false, ip, delegate)
					former := sw.registry.byID[id]
					elsewhere := former != nil && !former.isClosed() && former.host != who.host && !who.exempt
					may = may || !elsewhere && sw.registry.admissible(who) == nil
				}
			}
			got := sw.admissibleFrom(ip)
			require.Equal(t, may, got == nil, "seed %d round %d: %v", seed, round, got)
			if may {
				answers[1]++
			} else {
				answers[0]++
			}
		}
	}
	require.Greater(t, answers[0], 500, "seed %d", seed)
	require.Greater(t, answers[1], 500, "seed %d", seed)
}

func testIP(host int) net.IP { return net.IPv4(10, 100, 1, byte(host)) }

// randomRegistry returns a switch with some peers in any state, and the IDs of
// all peers that it may know.
func randomRegistry(rng *rand.Rand) (*MultiplexSwitch, []types.ID) {
	self := types.NetAddress{ID: testID(3)}
	opts := []SwitchOption{WithMaxInboundPeers(uint64(rng.IntN(3))), WithAllowDuplicateIP(rng.IntN(4) == 0)}
	var ids []types.ID
	for i := range 6 {
		id := testID(i)
		ids = append(ids, id)
		switch rng.IntN(8) {
		case 0:
			opts = append(opts, WithPersistentPeers([]*types.NetAddress{{ID: id}}))
		case 1:
			opts = append(opts, WithUnconditionalPeers([]types.ID{id}))
		}
	}
	sw := NewMultiplexSwitch(&fixedAddress{addr: self}, opts...)
	for _, id := range ids {
		if id == self.ID || rng.IntN(2) == 0 {
			continue
		}
		conn := &connection{id: id, outbound: rng.IntN(2) == 0, closed: rng.IntN(3) == 0}
		// Some peers were refused, so their IDs are not reserved.
		who := sw.candidate(id, conn.outbound, testIP(rng.IntN(3)), "")
		_, _ = sw.registry.reserve(conn, &who)
	}
	if rng.IntN(20) == 0 {
		sw.registry.close()
	}

	return sw, ids
}

// fixedAddress is a transport that only has an address.
type fixedAddress struct {
	compat.Transport
	addr types.NetAddress
}

func (f *fixedAddress) NetAddress() types.NetAddress { return f.addr }

func BenchmarkAdmitConnWhenFull(b *testing.B) {
	const peers = 100
	sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: "self"}}, WithMaxInboundPeers(peers))
	for i := range peers {
		conn := &connection{id: types.ID(fmt.Sprint(i))}
		who := sw.candidate(conn.id, false, testIP(i), "")
		if _, err := sw.registry.reserve(conn, &who); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if sw.admissibleFrom(sharedIP) == nil {
			b.Fatal("admitted")
		}
	}
}
