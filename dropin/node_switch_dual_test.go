package dropin

import (
	"testing"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// dualStack is the switch of NewDualSwitch.
func dualStack() stack { return stacks()[2] }

// TestDualSwitchReachesEveryStack connects a node at defaults with a node of each stack, in
// either direction, and exchanges messages.
func TestDualSwitchReachesEveryStack(t *testing.T) {
	expected := map[string]types.Stack{"native": types.StackNative, "libp2p": types.StackLibp2p, "dual": types.StackLibp2p}
	onEachStack(t, func(t *testing.T, other stack) {
		for _, roles := range [][2]stack{{dualStack(), other}, {other, dualStack()}} {
			a, b := newGnoRecorder("recorder", testChannel), newGnoRecorder("recorder", testChannel)
			a.wrap = func(p p2p.PeerConn) p2p.PeerConn { return &gnoWrapped{p} }
			acceptor := newSwitchWith(t, roles[1], loopbackConfig(), map[string]p2p.Reactor{"R": b})
			dialer := newSwitchWith(t, roles[0], loopbackConfig(acceptor.NetAddress()), map[string]p2p.Reactor{"R": a})
			require.NoError(t, acceptor.Start())
			atA, atB := startOnStack(t, dialer, expected[other.name], a, b)
			require.True(t, atA.Send(testChannel, []byte("there")))
			require.Equal(t, "there", await(t, b.received).msg)
			require.True(t, atB.Send(testChannel, []byte("and back")))
			require.Equal(t, "and back", await(t, a.received).msg)
			for sw, outbound := range map[*Switch]bool{dialer: true, acceptor: false} {
				links := sw.MultiplexSwitch().Links()
				require.Len(t, links, 1)
				require.Equal(t, expected[other.name], links[0].Stack)
				require.Equal(t, outbound, links[0].Outbound)
				require.Equal(t, "tcp", links[0].Address.Network())
				require.Equal(t, links[0].Stack == types.StackNative, links[0].Dialect == compat.DialectC)
			}
			require.NoError(t, dialer.Close())
			require.NoError(t, acceptor.Close())
		}
	})
}

// startOnStack starts the dialer and waits until the two reactors have each other as peers on the
// stack. A node that is held up for lp2p.SniffTimeout takes a node of both stacks for a native one, so a
// link that has taken as long is made anew, a few times.
func startOnStack(t *testing.T, dialer *Switch, want types.Stack, a, b *gnoRecorder) (atA, atB p2p.PeerConn) {
	t.Helper()
	begun := time.Now()
	require.NoError(t, dialer.Start())
	for range 5 {
		atA = await(t, a.added)
		took := time.Since(begun)
		atB = await(t, b.added)
		links := dialer.MultiplexSwitch().Links()
		if len(links) == 1 && links[0].Stack == want {
			return atA, atB
		}
		require.GreaterOrEqual(t, took, lp2p.SniffTimeout, "no link on %s: %v", want, links)
		t.Logf("a late link: %v", links)
		begun = time.Now()
		renew(t, dialer, types.ID(atA.ID()))
	}
	require.Fail(t, "every link is late", "wanted %s", want)
	panic("unreachable")
}

// TestDualSwitchTellsQUIC checks that a link over QUIC is one over UDP.
func TestDualSwitchTellsQUIC(t *testing.T) {
	quic := WithLibp2pOptions(lp2p.WithQUICOnly())
	b := newSwitchWith(t, dualStack(), loopbackConfig(), nil, quic)
	r := newGnoRecorder("r", testChannel)
	a := newSwitchWith(t, dualStack(), loopbackConfig(b.NetAddress()), map[string]p2p.Reactor{"R": r}, quic, WithDial(dual.DialLibp2p))
	require.NoError(t, b.Start())
	require.NoError(t, a.Start())
	await(t, r.added)
	links := a.MultiplexSwitch().Links()
	require.Len(t, links, 1)
	require.Equal(t, types.StackLibp2p, links[0].Stack)
	require.Equal(t, "udp", links[0].Address.Network())
}

// TestDualSwitchKeepsTheLimitsOfNativePeers checks that native connections have the limits of
// the config: a node with the default drops one that sends larger packets.
func TestDualSwitchKeepsTheLimitsOfNativePeers(t *testing.T) {
	native := dualStack()
	makeDual := native.make
	native.make = func(t *testing.T, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor, opts ...Option) (*Switch, error) {
		t.Helper()

		return makeDual(t, cfg, reactors, append(opts, WithDial(dual.DialNative))...)
	}
	requireDroppedForPackets(t, newPairOf(t, native, native, changed(largerPackets), unchanged))
}

func TestStackOptions(t *testing.T) {
	_, err := dualStack().make(t, loopbackConfig(), nil, WithStack("both"))
	require.ErrorIs(t, err, compat.ErrInvalidOption)
	require.ErrorContains(t, err, `"native", "dual" or "libp2p"`)
	_, err = dualStack().make(t, loopbackConfig(), nil, WithDial("nobody"))
	require.ErrorIs(t, err, compat.ErrInvalidOption)
	for _, opt := range []Option{WithStack(dual.StackDual), WithDial(dual.DialAuto)} {
		_, err = stacks()[1].make(t, loopbackConfig(), nil, opt)
		require.ErrorIs(t, err, errOneStack)
	}

	key, info := newIdentity(testChannel)
	cfg := loopbackConfig()
	cfg.PeerExchange = true
	_, err = NewDualSwitch(info, key, cfg, nil, nil, WithDHT(discovery.WithWalkInterval(-1)))
	require.ErrorContains(t, err, "dual switch")
	_, err = NewDualSwitch(info, key, nil, nil, nil)
	require.ErrorIs(t, err, errNoConfig)
	// goleak checks that the hosts are closed.
}

// TestDualSwitchHasTheBookOfPex checks that both stacks and our discovery reactor share a book.
func TestDualSwitchHasTheBookOfPex(t *testing.T) {
	book, err := addrbook.Open("", types.NetAddress{ID: types.GenerateNodeKey().ID()})
	require.NoError(t, err)
	other, err := addrbook.Open("", types.NetAddress{ID: types.GenerateNodeKey().ID()})
	require.NoError(t, err)
	reactors := map[string]p2p.Reactor{"PEX": Reactor(pex.NewReactor(book)), "nil": nil}
	sw := newSwitchWith(t, dualStack(), loopbackConfig(), reactors)
	require.Same(t, book, sw.transport.(*dual.Transport).AddrBook())
	sw = newSwitchWith(t, dualStack(), loopbackConfig(), reactors, WithLibp2pOptions(lp2p.WithAddrBook(other)))
	require.Same(t, other, sw.transport.(*dual.Transport).AddrBook())
}

// TestDualNodesFindEachOther connects nodes that know only a seed, by a DHT.
func TestDualNodesFindEachOther(t *testing.T) {
	fast := WithDHT(discovery.WithWalkInterval(50 * time.Millisecond))
	seed := newDHTNodeOn(t, NewDualSwitch, func(*gnoconfig.P2PConfig) {}, fast)
	require.NoError(t, seed.sw.Start())
	at := seed.sw.NetAddress()
	first := newDHTNodeOn(t, NewDualSwitch, func(cfg *gnoconfig.P2PConfig) { cfg.Seeds = at.String() }, fast)
	second := newDHTNodeOn(t, NewDualSwitch, func(cfg *gnoconfig.P2PConfig) { cfg.PersistentPeers = at.String() }, fast)
	require.NoError(t, first.sw.Start())
	require.NoError(t, second.sw.Start())
	first.awaitPeer(t, second.sw.NetAddress().ID)
	second.awaitPeer(t, first.sw.NetAddress().ID)
}

// TestNativeNodeLearnsOfDualNodes lets a native node learn of a dual node from
// another one by peer exchange, and dial it.
func TestNativeNodeLearnsOfDualNodes(t *testing.T) {
	start := func(s stack, seed string) (*Switch, *gnoRecorder) {
		cfg := loopbackConfig()
		cfg.Seeds, cfg.PeerExchange = seed, true
		book, err := addrbook.Open("", types.NetAddress{ID: types.GenerateNodeKey().ID()})
		require.NoError(t, err)
		r := newGnoRecorder("r", testChannel)
		reactors := map[string]p2p.Reactor{"R": r, "PEX": Reactor(pex.NewReactor(book,
			pex.WithPrivateNetworks(), pex.WithDiscoveryInterval(50*time.Millisecond)))}
		sw := newSwitchWith(t, s, cfg, reactors)
		require.NoError(t, sw.Start())

		return sw, r
	}
	hub, _ := start(dualStack(), "")
	at := hub.NetAddress()
	far, farPeers := start(dualStack(), at.String())
	require.Equal(t, at.ID, await(t, farPeers.added).ID())
	_, nativePeers := start(stacks()[0], at.String())
	for await(t, nativePeers.added).ID() != far.NetAddress().ID {
	}
}
