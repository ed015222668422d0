package discovery_test

import (
	"strings"
	"testing"

	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// A third party asks a node in every way there is. It hears of the node's ordinary
// peers, and never of its private one: while that is connected, and when it is
// remembered. The private peer does nothing itself to be private.
func TestPrivatePeersAreNeverTold(t *testing.T) {
	for name, hide := range map[string]func(types.ID) spec{
		"named to the switch": func(id types.ID) spec {
			return withPEX(t, spec{sw: []adapter.SwitchOption{adapter.WithPrivatePeers([]types.ID{id})}}, id)
		},
		// PEX goes by the switch, so this node has none.
		"named to discovery": func(id types.ID) spec {
			return spec{dht: []discovery.Option{discovery.WithPrivatePeers([]types.ID{id})}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			secret := types.GenerateNodeKey()
			how := hide(secret.ID())
			n := newNode(t, how)
			friend := newNode(t, spec{seeds: []*node{n}})
			private := newNode(t, spec{key: secret, seeds: []*node{n}})
			await(t, "both are connected", func() bool {
				return n.Peers().Has(friend.id()) && n.Peers().Has(private.id())
			}, n)
			await(t, "friend is in the table, and private peer has asked", func() bool {
				return n.d.Stats().Table == 1 && private.d.Stats().QueriesSent > 0
			}, n)

			s := newStranger(t)
			s.meet(t, n)
			s.interrogate(t, n, private)
			hasPEX := len(how.sw) > 0
			if hasPEX {
				s.askPEX(t, n)
			}
			require.Empty(t, s.wasTold(private), "connected")

			private.stop()
			await(t, "private peer is gone", func() bool { return !n.Peers().Has(private.id()) }, n)
			require.NotEmpty(t, n.t.Host().Peerstore().Addrs(private.t.Host().ID()), "the host remembers where it was")
			s.interrogate(t, n, private)
			told := []string{"peer ID", "public key", "address"}
			if hasPEX {
				s.askPEX(t, n)
				told = append(told, "TM2 ID", "address in text")
			}
			require.Empty(t, s.wasTold(private), "remembered")
			require.ElementsMatch(t, told, s.wasTold(friend), "others are told")
			require.Equal(t, 1, n.d.Stats().Table)
		})
	}
}

// withPEX adds the discovery reactor of TM2 to a node.
func withPEX(t *testing.T, s spec, private types.ID) spec {
	t.Helper()
	book, err := addrbook.Open("", types.NetAddress{}, addrbook.WithPrivatePeers([]types.ID{private}))
	require.NoError(t, err)
	s.sw = append(s.sw, adapter.WithReactor("pex", pex.NewReactor(book)))

	return s
}

// A peer that is known to be private by its connection alone leaves the DHT then.
func TestPeerThatTurnsOutPrivateIsForgotten(t *testing.T) {
	n := newNode(t, spec{dht: []discovery.Option{discovery.WithMaxOutboundPeers(0)}})
	other := newNode(t, spec{seeds: []*node{n}, dht: []discovery.Option{discovery.WithMaxOutboundPeers(0)}})
	await(t, "other is in the table", func() bool { return n.d.Stats().Table == 1 }, n)
	s := newStranger(t)
	s.meet(t, n)
	exact := []byte(other.t.Host().ID())
	require.NotEmpty(t, s.findNode(t, n, exact))

	n.d.InitPeer(privatePeer{id: other.id()})
	require.Zero(t, n.d.Stats().Table)
	require.Empty(t, s.findNode(t, n, exact))
}

// privatePeer is as much of a private peer as InitPeer looks at.
type privatePeer struct {
	compat.PeerConn
	id types.ID
}

func (p privatePeer) ID() types.ID  { return p.id }
func (privatePeer) IsPrivate() bool { return true }

// A private node announces no address, serves no queries, and is in nobody's table;
// it still finds peers.
func TestPrivateNodeIsAClient(t *testing.T) {
	hub := newNode(t, spec{})
	other := newNode(t, spec{seeds: []*node{hub}})
	private := newNode(t, spec{seeds: []*node{hub}, transport: []lp2p.Option{lp2p.WithPrivateNode()}})
	await(t, "private node has found the other", func() bool {
		return private.Peers().Has(other.id()) && private.Peers().Has(hub.id())
	}, private)

	s := newStranger(t)
	s.meet(t, hub)
	s.interrogate(t, hub, private)
	s.meet(t, other)
	s.interrogate(t, other, private)
	require.Empty(t, s.wasTold(private))
	require.Equal(t, 1, hub.d.Stats().Table)
	require.Equal(t, 1, other.d.Stats().Table)
	require.Empty(t, hub.t.Host().Peerstore().Addrs(private.t.Host().ID()))

	s.meet(t, private) // whoever knows where it is
	id := s.identify(t, private)
	require.Empty(t, id.GetListenAddrs())
	for _, p := range id.GetProtocols() {
		require.False(t, strings.Contains(p, "kad"), p)
	}
	_, err := s.kad(t, private, dhtpb.NewMessage(dhtpb.Message_FIND_NODE, []byte(hub.t.Host().ID()), 0))
	require.Error(t, err)
}

// Who does not offer to be found is not told, although its address is known.
func TestClientsAreNotTold(t *testing.T) {
	hub := newNode(t, spec{})
	client := newNode(t, spec{seeds: []*node{hub}, dht: []discovery.Option{discovery.WithMode(discovery.ModeClient)}})
	await(t, "client is connected", func() bool { return hub.Peers().Has(client.id()) }, hub)
	await(t, "its addresses are known", func() bool {
		return len(hub.t.Host().Peerstore().Addrs(client.t.Host().ID())) > 0
	}, hub)
	s := newStranger(t)
	s.meet(t, hub)
	s.interrogate(t, hub, client)
	require.Empty(t, s.wasTold(client))
}

// Nobody is asked for a private peer, although its address is stale: the question
// would tell its ID.
func TestPrivatePeersAreNotLookedFor(t *testing.T) {
	secret := types.GenerateNodeKey()
	private := newNode(t, spec{key: secret, silent: true})
	hub := newStranger(t)
	hub.pretend(t, "test")
	n := newNode(t, spec{
		dht: []discovery.Option{
			discovery.WithBootstrapPeers([]*types.NetAddress{private.addr()}), // so that it is worth a search
			discovery.WithMaxOutboundPeers(0),
		},
		sw: []adapter.SwitchOption{
			adapter.WithPrivatePeers([]types.ID{secret.ID()}),
			adapter.WithPersistentPeers([]*types.NetAddress{private.addr()}),
		},
	})
	empty, err := proto.Marshal(dhtpb.NewMessage(dhtpb.Message_FIND_NODE, nil, 0))
	require.NoError(t, err)
	hub.SetStreamHandler(n.d.Protocol(), func(stream network.Stream) {
		defer stream.Close()
		if body, err := wire.ReadSized(stream, 1<<20); err == nil {
			hub.keep(body)
			_, _ = stream.Write(wire.AppendSized(nil, empty))
		}
	})
	hub.meet(t, n)
	await(t, "hub is in the table", func() bool { return n.d.Stats().Table == 1 }, n)
	await(t, "private peer is connected", func() bool { return n.Peers().Has(secret.ID()) }, n)
	failed := failures(t, n)
	private.stop()
	for range 2 {
		select {
		case <-failed:
		case <-timeout(t).Done():
			require.Fail(t, "dial has not failed")
		}
	}
	require.Zero(t, n.d.Stats().Searches)
	require.Empty(t, hub.wasTold(private))
}

// asker is a peer of the switch that asks for addresses on the channel of PEX.
type asker struct {
	compat.BaseReactor
	s        *stranger
	answered chan struct{}
}

func (*asker) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: pex.Channel, Priority: 1}}
}

func (a *asker) AddPeer(p compat.PeerConn) { p.Send(pex.Channel, wire.AppendRequest(nil)) }

func (a *asker) Receive(_ byte, _ compat.PeerConn, msg []byte) {
	a.s.keep(append([]byte(nil), msg...))
	if _, request, err := wire.DecodeDiscovery(msg); err == nil && !request {
		a.answered <- struct{}{}
	}
}

// askPEX becomes a peer of the node, once, and asks for addresses.
func (s *stranger) askPEX(t *testing.T, n *node) {
	t.Helper()
	a := &asker{s: s, answered: make(chan struct{}, 1)}
	a.BaseReactor = *compat.NewBaseReactor("asker", a)
	peer := newNode(t, spec{silent: true, sw: []adapter.SwitchOption{adapter.WithReactor("asker", a)}})
	defer peer.stop()
	peer.DialPeers(n.addr())
	select {
	case <-a.answered:
	case <-timeout(t).Done():
		require.Fail(t, "no answer")
	}
}
