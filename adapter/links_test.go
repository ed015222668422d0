package adapter

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// nativeTransport is a transport whose dialed peers tell the native stack.
type nativeTransport struct{ *memory.Transport }

func (t nativeTransport) Dial(ctx context.Context, addr types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
	p, err := t.Transport.Dial(ctx, addr, b)
	if err != nil {
		return nil, err
	}

	return nativePeer{p}, nil
}

type nativePeer struct{ compat.PeerConn }

func (nativePeer) Stack() types.Stack      { return types.StackNative }
func (nativePeer) Dialect() compat.Dialect { return compat.DialectC }
func (nativePeer) TunneledBy() types.ID    { return "g1bridge" }

// wrapper hides the optional interfaces of a peer, as the wrapper of a reactor does.
type wrapper struct{ compat.PeerConn }

func TestLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a := newNodeOn(t, network.NewTransport(chA, chB), func(tr *memory.Transport) compat.Transport { return nativeTransport{tr} })
		a.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { return &wrapper{p} }
		b, c := newNode(t, network), newNode(t, network)
		defer start(t, a, b, c)()
		require.Empty(t, a.Links())
		told, cancel := a.Subscribe(nil)
		defer cancel()
		connect(t, a, b)
		connect(t, c, a)

		to := Link{
			PeerID: b.id(), Moniker: a.Peers().Get(b.id()).NodeInfo().Moniker, Address: a.Peers().Get(b.id()).RemoteAddr(),
			Stack: types.StackNative, Dialect: compat.DialectC, Outbound: true, Tunnel: "g1bridge",
		}
		from := Link{
			PeerID: c.id(), Moniker: a.Peers().Get(c.id()).NodeInfo().Moniker, Address: a.Peers().Get(c.id()).RemoteAddr(),
		}
		want := []Link{to, from}
		if c.id() < b.id() {
			want = []Link{from, to}
		}
		require.Equal(t, want, a.Links())
		var stacks []types.Stack
		for _, e := range collect(told) {
			stacks = append(stacks, e.(events.PeerConnectedEvent).Stack)
		}
		require.Equal(t, []types.Stack{types.StackNative, ""}, stacks)

		a.StopPeerForError(a.Peers().Get(b.id()), errTest)
		synctest.Wait()
		require.Equal(t, []Link{from}, a.Links())
	})
}

func TestWithBlockedPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		b := newNode(t, network)
		a := newNode(t, network, WithBlockedPeers([]types.ID{b.id(), ""}))
		defer start(t, a, b)()
		require.Equal(t, []types.ID{b.id()}, a.BlockedPeers())
		b.DialPeers(a.addr())
		synctest.Wait()
		require.Zero(t, a.reactor.count("init"))
		require.True(t, a.UnblockPeer(b.id()))
		connect(t, b, a)
	})
}
