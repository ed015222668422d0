package lp2p

import (
	"context"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	holepunchpb "github.com/libp2p/go-libp2p/p2p/protocol/holepunch/pb"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	relayAt  = "1.2.0.1:4001"
	insideAt = "10.0.0.2:4001"
	boxIP    = "1.2.3.4"
)

// awaitEvent waits for an event of the host after which done is true. libp2p looks for its addresses
// at its own pace, and where a try was late on a busy machine the next may be a minute away.
func awaitEvent(t testing.TB, h host.Host, kind any, done func() bool) {
	t.Helper()
	sub, err := h.EventBus().Subscribe(kind)
	require.NoError(t, err)
	defer sub.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	for !done() {
		select {
		case <-sub.Out():
		case <-ctx.Done():
			require.Fail(t, "event did not come")
		}
	}
}

func awaitRelayed(t testing.TB, n *node) {
	t.Helper()
	awaitEvent(t, n.Host(), new(event.EvtLocalAddressesUpdated), func() bool { return len(n.RelayedAddresses()) > 0 })
}

func speaks(n *node, id protocol.ID) bool {
	for _, p := range n.Host().Mux().Protocols() {
		if p == id {
			return true
		}
	}

	return false
}

func awaitProtocol(t testing.TB, n *node, id protocol.ID) {
	t.Helper()
	awaitEvent(t, n.Host(), new(event.EvtLocalProtocolsUpdated), func() bool { return speaks(n, id) })
}

// A node behind a NAT is met at its relay, and has its session on a direct
// connection: it dials a public node itself; to one behind another NAT both punch
// holes.
func TestMeetAtRelay(t *testing.T) {
	t.Parallel()
	for name, dialerNAT := range map[string]bool{"public dialer": false, "both behind NATs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inet := newInternet()
			inet.behind(boxIP, "10.0.0.2")
			relay := inet.newNode(t, relayAt, nil, WithRelayService(DefaultRelayLimits()))
			inside := inet.newNode(t, insideAt, []*node{relay},
				WithHolePunching(), WithRelayClient(relay.address(relayAt)))
			at, opt := "1.2.5.5:4001", WithRelayClient()
			if dialerNAT {
				inet.behind("1.2.5.5", "10.9.9.9")
				at, opt = "10.9.9.9:4001", WithHolePunching()
			}
			dialer := inet.newNode(t, at, []*node{inside}, opt)
			awaitRelayed(t, inside)
			awaitProtocol(t, inside, holepunch.Protocol)
			addr := inside.RelayedAddresses()[0]
			require.Equal(t, inside.address(relayAt), addr)

			inside.acceptLoop(t)
			p, err := dialer.Dial(timeout(t), addr, dialer.behavior)
			require.NoError(t, err)
			require.NoError(t, p.Start())
			require.Equal(t, addr, *p.SocketAddr(), "where others may dial it")
			conn := p.(*Peer).s.conn
			require.False(t, isCircuit(conn.RemoteMultiaddr()))
			require.Contains(t, conn.RemoteMultiaddr().String(), "/ip4/"+boxIP+"/")
			if dialerNAT {
				require.Equal(t, network.DirOutbound, conn.Stat().Direction)
			} else {
				require.Equal(t, network.DirInbound, conn.Stat().Direction)
			}
			require.True(t, p.Send(chA, []byte("direct")))
			inside.reactor.await(t, 1)
			require.Equal(t, [][]byte{[]byte("direct")}, inside.reactor.on(chA))
		})
	}
}

// Two nodes behind NATs do not get through unless both punch holes.
func TestMeetInVain(t *testing.T) {
	t.Parallel()
	inet := newInternet()
	inet.behind(boxIP, "10.0.0.2")
	inet.behind("1.2.5.5", "10.9.9.9")
	relay := inet.newNode(t, relayAt, nil, WithRelayService(DefaultRelayLimits()))
	inside := inet.newNode(t, insideAt, []*node{relay}, WithHolePunching(), WithRelayClient(relay.address(relayAt)))
	dialer := inet.newNode(t, "10.9.9.9:4001", []*node{inside}, WithRelayClient(), shortDial())
	awaitRelayed(t, inside)
	awaitProtocol(t, inside, holepunch.Protocol)
	_, err := dialer.Dial(timeout(t), inside.RelayedAddresses()[0], dialer.behavior)
	require.ErrorIs(t, err, ErrOnlyRelayed)
	require.ErrorContains(t, err, "no direct connection within 20s")
}

// hostile are addresses that are not dialed when a public remote names them.
func hostile(t *testing.T) (addrs []multiaddr.Multiaddr) {
	t.Helper()
	for _, ip := range []string{
		"/ip4/127.0.0.1", "/ip4/10.7.7.7", "/ip4/169.254.169.254", "/ip4/100.100.100.200", "/ip4/198.18.0.1", "/ip4/240.0.0.1",
		"/ip6/64:ff9b::a00:1", "/ip6/2002:a00:1::", "/ip6/fec0::1",
	} {
		a, err := multiaddr.NewMultiaddr(ip + "/udp/4001/quic-v1")
		require.NoError(t, err)
		addrs = append(addrs, a)
	}

	return addrs
}

// Where a remote wants a hole punched, or says over identify that it is, is dialed only if
// it is public.
func TestHolesArePunchedToPublicAddresses(t *testing.T) {
	t.Parallel()
	inet := newInternet()
	inet.behind(boxIP, "10.0.0.2")
	inet.behind("1.2.5.5", "10.9.9.9")
	relay := inet.newNode(t, relayAt, nil, WithRelayService(DefaultRelayLimits()))
	inside := inet.newNode(t, insideAt, []*node{relay}, WithHolePunching(), WithRelayClient(relay.address(relayAt)))
	named := hostile(t)
	told := slices.Concat(named, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/1.2.9.9/udp/4001/quic-v1")})
	dialer := inet.newNode(t, "10.9.9.9:4001", []*node{inside}, WithRelayClient(), shortDial(), WithLibp2pOptions(
		libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return told })))
	var asked atomic.Int32
	dialer.Host().SetStreamHandler(holepunch.Protocol, func(s network.Stream) {
		defer s.Close()
		if _, err := wire.ReadSized(s, 4096); err != nil {
			return
		}
		answer := &holepunchpb.HolePunch{Type: holepunchpb.HolePunch_CONNECT.Enum()}
		for _, a := range told {
			answer.ObsAddrs = append(answer.ObsAddrs, a.Bytes())
		}
		body, err := protobuf.Marshal(answer)
		if err != nil {
			return
		}
		_, _ = s.Write(wire.AppendSized(nil, body)) // whether inside takes it shows
		if _, err := wire.ReadSized(s, 4096); err == nil {
			asked.Add(1)
		}
	})
	awaitRelayed(t, inside)
	awaitProtocol(t, inside, holepunch.Protocol)
	for ctx := timeout(t); asked.Load() == 0; { // a dial may be over before inside has begun
		_, err := dialer.Dial(ctx, inside.RelayedAddresses()[0], dialer.behavior)
		require.ErrorIs(t, err, ErrOnlyRelayed)
	}

	inet.mtx.Lock()
	defer inet.mtx.Unlock()
	require.True(t, inet.reached[netip.MustParseAddr("1.2.9.9")], "to where the remote may be")
	for _, a := range named {
		require.False(t, inet.reached[ipOf(a)], a)
	}
}

// libp2p dials what the transport asks for, whatever it is, and of the rest what the
// remote may name.
func TestNamedAddressesAreJudged(t *testing.T) {
	inet := newInternet()
	a, b := inet.newNode(t, "1.2.0.2:4001", nil), inet.newNode(t, "1.2.0.3:4001", nil)
	id := b.Host().ID()
	mayDial := func() (n int) {
		for _, at := range hostile(t) {
			if a.gater.InterceptAddrDial(id, at) {
				n++
			}
		}

		return n
	}
	require.Equal(t, 3, mayDial(), "a user of the host may dial where somebody can be")
	a.Host().Peerstore().AddAddrs(id, b.Host().Addrs(), time.Minute)
	_, err := a.Host().Network().DialPeer(timeout(t), id)
	require.NoError(t, err)
	require.Zero(t, mayDial(), "a public remote names them")

	done := a.gater.ask(id, hostile(t))
	require.Equal(t, len(hostile(t)), mayDial(), "the operator has configured them")
	done()
	require.Zero(t, mayDial())
	require.Empty(t, a.gater.asked)
}

// Only the two nodes can use a hole that they have punched, and the relayed connection is
// closed.
func TestMeetingLeavesNothing(t *testing.T) {
	t.Parallel()
	inet := newInternet()
	box := inet.behind(boxIP, "10.0.0.2")
	relay := inet.newNode(t, relayAt, nil, WithRelayService(DefaultRelayLimits()))
	inside := inet.newNode(t, insideAt, []*node{relay}, WithHolePunching(), WithRelayClient(relay.address(relayAt)))
	dialer := inet.newNode(t, "1.2.5.5:4001", []*node{inside}, WithRelayClient())
	awaitRelayed(t, inside)
	awaitProtocol(t, inside, holepunch.Protocol)
	inside.acceptLoop(t)
	p, err := dialer.Dial(timeout(t), inside.RelayedAddresses()[0], dialer.behavior)
	require.NoError(t, err)
	require.NoError(t, p.Start())
	for _, c := range dialer.Host().Network().ConnsToPeer(inside.Host().ID()) {
		require.False(t, isCircuit(c.RemoteMultiaddr()))
	}
	require.Empty(t, dialer.Host().Network().ConnsToPeer(relay.Host().ID()), "it was only asked for the meeting")
	require.NoError(t, p.Stop())

	stranger := inet.newNode(t, "1.2.6.6:4001", []*node{inside}, shortDial())
	inet.mtx.Lock()
	hole := inside.address(boxIP + ":40000")
	before := box.refused
	inet.mtx.Unlock()
	_, err = stranger.Dial(timeout(t), hole, stranger.behavior)
	require.Error(t, err)
	inet.mtx.Lock()
	defer inet.mtx.Unlock()
	require.Greater(t, box.refused, before)
}

// Without a reservation at the relay, a dial reports the node at the address.
func TestDialRelayWithoutReservation(t *testing.T) {
	inet := newInternet()
	relay := inet.newNode(t, relayAt, nil, WithRelayService(DefaultRelayLimits()))
	absent := inet.newNode(t, "1.2.7.7:4001", nil)
	dialer := inet.newNode(t, "1.2.5.5:4001", []*node{absent}, WithRelayClient())
	_, err := dialer.Dial(timeout(t), absent.address(relayAt), dialer.behavior)
	var wrong *compat.WrongIDError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, relay.key.ID(), wrong.Found)
	require.ErrorContains(t, err, "NO_RESERVATION")
	require.NotErrorIs(t, err, ErrOnlyRelayed)
}

func TestNATOptions(t *testing.T) {
	relay := nodeInfo(types.GenerateNodeKey().ID()).NetAddress
	many := make([]types.NetAddress, maxRelays+1)
	bad := DefaultRelayLimits()
	bad.CircuitDuration = time.Millisecond
	for name, opts := range map[string][]Option{
		"WithQUIC":             {WithHolePunching()},
		"need WithAutoNAT":     {WithRelayService(DefaultRelayLimits()), WithRelayClient(*relay)},
		"more than 8 relays":   {WithRelayClient(many...)},
		"relay ":               {WithRelayClient(types.NetAddress{ID: "g1nobody"})},
		"CircuitDuration":      {WithRelayService(bad)},
		"Circuits is not posi": {WithRelayService(RelayLimits{Reservations: 1, ReservationsPerIP: 1})},
	} {
		_, err := newOptions(opts)
		require.ErrorContains(t, err, name)
	}
	_, err := newOptions([]Option{WithHolePunching(), WithQUIC()})
	require.NoError(t, err)
	_, err = newOptions([]Option{WithRelayService(DefaultRelayLimits()), WithRelayClient(*relay), WithAutoNAT()})
	require.NoError(t, err)
}

// natPackages are those of go-libp2p whose goroutines deal with NATs.
var natPackages = regexp.MustCompile(
	`go-libp2p/p2p/(host/(autonat|autorelay|relaysvc|observedaddrs)|protocol/(autonatv2|circuitv2|holepunch)|net/nat)` +
		`[./]|host/basic\.\(\*(natManager|addrsReachabilityTracker)\)`)

// natProtocols are those of a host that deal with NATs.
func natProtocols(n *node) (ids []string) {
	for _, p := range n.Host().Mux().Protocols() {
		if regexp.MustCompile(`^/libp2p/(circuit|dcutr|autonat)|^/tm2/relayed/`).MatchString(string(p)) {
			ids = append(ids, string(p))
		}
	}

	return ids
}

// natGoroutines are the packages that deal with NATs and have goroutines.
func natGoroutines() (names []string) {
	stacks := make([]byte, 4<<20)
	for _, match := range natPackages.FindAllString(string(stacks[:runtime.Stack(stacks, true)]), -1) {
		names = append(names, strings.TrimRight(match, "./"))
	}
	slices.Sort(names)

	return slices.Compact(names)
}

// stackPoll is how often the goroutines of the process are read, which tell nobody
// when they end and cost much to read.
const stackPoll = 100 * time.Millisecond

// Nothing deals with NATs unless it was asked for, and everything that was ends.
func TestNATServicesAreOff(t *testing.T) {
	const (
		hop, stop = "/libp2p/circuit/relay/0.2.0/hop", "/libp2p/circuit/relay/0.2.0/stop"
		circuits  = "go-libp2p/p2p/protocol/circuitv2"
	)
	idle := func() bool { return len(natGoroutines()) == 0 }
	require.Eventually(t, idle, patience, stackPoll, "what other tests had running")
	for name, c := range map[string]struct {
		opts []Option
		runs []string
	}{
		"nothing":       {nil, nil},
		"QUIC only":     {[]Option{WithQUIC()}, nil},
		"port mapping":  {[]Option{WithPortMapping()}, []string{"host/basic.(*natManager)"}},
		"relay client":  {[]Option{WithRelayClient()}, []string{stop, circuits}},
		"relay service": {[]Option{WithRelayService(DefaultRelayLimits())}, []string{hop, string(RelayedProtocol), circuits}},
		"hole punching": {
			[]Option{WithQUIC(), WithHolePunching()},
			[]string{stop, circuits, "go-libp2p/p2p/protocol/holepunch", "go-libp2p/p2p/host/observedaddrs"},
		},
		"AutoNAT": {
			[]Option{WithAutoNAT()},
			[]string{"/libp2p/autonat/2/dial-request", "go-libp2p/p2p/protocol/autonatv2", "host/basic.(*addrsReachabilityTracker)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			key := types.GenerateNodeKey()
			tr, err := NewTransport(nodeInfo(key.ID()), *key, nil, c.opts...)
			require.NoError(t, err)
			n := &node{Transport: tr}
			defer tr.Close()
			require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))
			if c.runs == nil {
				require.Empty(t, natProtocols(n))
				require.Empty(t, natGoroutines())
			}
			require.Eventually(t, func() bool {
				work := append(natProtocols(n), natGoroutines()...)

				return !slices.ContainsFunc(c.runs, func(what string) bool { return !slices.Contains(work, what) })
			}, patience, stackPoll)
			require.NoError(t, tr.Close())
			require.Eventually(t, idle, patience, stackPoll, "after Close")
		})
	}
}

// What AutoNAT finds out turns the relay service on and off.
func TestReachability(t *testing.T) {
	n := newNode(t, nil, WithAutoNAT(), WithRelayService(DefaultRelayLimits()))
	require.False(t, speaks(n, proto.ProtoIDv2Hop), "nobody has confirmed it yet")
	found, err := n.Host().EventBus().Emitter(new(event.EvtHostReachableAddrsChanged))
	require.NoError(t, err)
	defer found.Close()
	a, b := multiaddr.StringCast("/ip4/1.2.3.4/tcp/1"), multiaddr.StringCast("/ip4/1.2.3.4/udp/1/quic-v1")
	one, other := []multiaddr.Multiaddr{a}, []multiaddr.Multiaddr{b}
	for _, step := range []struct {
		event event.EvtHostReachableAddrsChanged
		is    network.Reachability
	}{
		{event.EvtHostReachableAddrsChanged{Reachable: one, Unreachable: other}, network.ReachabilityPublic},
		{event.EvtHostReachableAddrsChanged{Unreachable: one, Unknown: other}, network.ReachabilityUnknown},
		{event.EvtHostReachableAddrsChanged{Reachable: one}, network.ReachabilityPublic},
		{event.EvtHostReachableAddrsChanged{Unreachable: append(one, other...)}, network.ReachabilityPrivate},
		{event.EvtHostReachableAddrsChanged{Reachable: other, Unknown: one}, network.ReachabilityPublic},
	} {
		require.NoError(t, found.Emit(step.event))
		awaitEvent(t, n.Host(), new(event.EvtLocalProtocolsUpdated), func() bool {
			return speaks(n, proto.ProtoIDv2Hop) == (step.is == network.ReachabilityPublic)
		})
		require.Equal(t, step.is, reachabilityOf(step.event))
	}
}

// Only a host with relays needs to be asked for direct dials.
func TestDialsAreDirect(t *testing.T) {
	for _, relays := range []bool{false, true} {
		var opts []Option
		if relays {
			opts = append(opts, WithRelayClient())
		}
		forced, _ := network.GetForceDirectDial(newNode(t, nil, opts...).directly(t.Context()))
		require.Equal(t, relays, forced)
	}
}
