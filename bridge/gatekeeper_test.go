package bridge

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

// behindProxy returns an address at which native nodes reach the bridge from a public IP.
func behindProxy(t *testing.T, b *Bridge, ip string) types.NetAddress {
	t.Helper()

	return comingFrom(t, b, net.IPv4(127, 0, 0, 9), fmt.Sprintf("PROXY TCP4 %s 127.0.0.9 1 2\r\n", ip))
}

func proxies() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")} }

// ignorePeers takes what the node tells of its peers, until the test ends.
func (n *node) ignorePeers(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	var taking sync.WaitGroup
	taking.Go(func() {
		for {
			select {
			case <-n.added:
			case <-n.removed:
			case <-done:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		taking.Wait()
	})
}

// leave ends the pair of the node and waits until the bridge has noticed. The node may have its
// connection a moment before the pair is up, and one that is not up yet ends for another reason.
func (n *node) leave(t *testing.T, b *Bridge) {
	t.Helper()
	isUp := func() bool { return len(b.Status().Pairs) > 0 || len(n.sw.Peers().List()) == 0 }
	require.Eventually(t, isUp, testTimeout, time.Millisecond)
	for _, p := range n.sw.Peers().List() {
		n.sw.StopPeerForError(p, nil)
		next(t, n.removed)
	}
	require.Eventually(t, func() bool { return len(b.Status().Pairs) == 0 }, testTimeout, time.Millisecond)
}

// A host whose nodes get a pair and leave at once, again and again, is refused for a while, and
// nobody else is. A configured node at the same host is not.
func TestHostThatKeepsLeavingIsSlowedDown(t *testing.T) {
	friend, target := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	target.ignorePeers(t)
	b := newBridgeWith(t, Config{
		Libp2pPeers: addresses(target), ProxyNetworks: proxies(), UnconditionalPeers: []types.ID{friend.address.ID},
	}, func(*Bridge) {})
	var log stacktest.Log
	b.gate.keeper.Log = summary.New(slog.New(slog.NewTextHandler(&log, nil))) // before the first node comes
	t.Cleanup(b.gate.keeper.Log.Close)
	at := behindProxy(t, b, "9.9.0.1")
	const free = conduct.MaxPoints / conduct.ConnPoints
	n, times := newNode(t, InitiatorNative), 0
	for times < 3*free && n.comes(t, at) {
		n.leave(t, b)
		times++
	}
	require.Less(t, times, 2*free)
	require.False(t, newNode(t, InitiatorNative).comes(t, at), "not under another ID")
	require.Equal(t, 1, log.Count("host is refused for a while"))

	honest := newNode(t, InitiatorNative)
	require.True(t, honest.comes(t, behindProxy(t, b, "9.9.0.2")))
	honest.leave(t, b)
	fromFriend := behindProxy(t, b, "9.9.0.3")
	for range 2 * free {
		require.True(t, friend.comes(t, fromFriend))
		friend.leave(t, b)
	}
}

// A node of either side that breaks the protocol is not paired again for a while.
func TestViolationIsRemembered(t *testing.T) {
	for _, stack := range []string{InitiatorNative, InitiatorLibp2p} {
		t.Run(stack, func(t *testing.T) {
			b := newBridge(t, Config{
				Libp2pPeers: addresses(newNode(t, InitiatorLibp2p)), NativePeers: addresses(newNode(t, InitiatorNative)),
				Channels: []*compat.ChannelDescriptor{{ID: chVotes, Priority: 1}, {ID: chTxs, Priority: 1, RecvMessageCapacity: 1 << 10}},
			})
			at := b.NativeAddress()
			if stack == InitiatorLibp2p {
				at = b.Libp2pAddress()
			}
			n := newNode(t, stack)
			require.True(t, n.comes(t, at))
			require.True(t, n.sw.Peers().List()[0].Send(chTxs, make([]byte, 2<<10)), "more than the channel takes")
			next(t, n.removed)
			require.Eventually(t, func() bool { return b.gate.judge(n.address.ID, netip.Prefix{}) != nil }, testTimeout, time.Millisecond)
			_, err := n.tryToJoin(t, at)
			require.Error(t, err)
			if stack == InitiatorLibp2p {
				require.ErrorContains(t, err, "refused for")
			}
			require.True(t, newNode(t, stack).comes(t, at), "another node of the machine")
		})
	}
}

// A block that is too large for TM2 nodes since v1.2.0 ends at the bridge, and its sender is
// refused there. The target would hold it against the bridge. Older networks may have it pass.
func TestTooLargeBlockIsBlamedOnItsSender(t *testing.T) {
	const chBlocks, capacity = byte(0x40), 8454144
	for name, c := range map[string]struct {
		channels []*compat.ChannelDescriptor
		size     int
		passes   bool
	}{
		"the largest block":         {nil, capacity, true},
		"a larger one":              {nil, capacity + 1, false},
		"a larger one of a network": {[]*compat.ChannelDescriptor{{ID: chBlocks, Priority: 10, RecvMessageCapacity: 104857605}}, capacity + 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			n, target := newNode(t, InitiatorNative, chBlocks), newNode(t, InitiatorLibp2p, chBlocks)
			b := newBridge(t, Config{Libp2pPeers: addresses(target), Channels: c.channels})
			require.True(t, n.comes(t, b.NativeAddress()))
			require.True(t, n.sw.Peers().List()[0].Send(chBlocks, make([]byte, c.size)))
			if c.passes {
				require.Len(t, next(t, target.messages).data, c.size)

				return
			}
			next(t, n.removed)
			require.Eventually(t, func() bool { return b.gate.judge(n.address.ID, netip.Prefix{}) != nil }, testTimeout, time.Millisecond)
			require.Empty(t, target.messages)
		})
	}
}

// A pair that never came up, or that the bridge ends, costs a tenth. One that the node itself
// replaces does not, nor one that a configured target ends, unless that is full or shuts down: either
// makes the bridge dial a target each time.
func TestWhoReplacesPairsIsNotSpared(t *testing.T) {
	from := net.IPv4(9, 9, 0, 1)
	const all, few = 4 * conduct.MaxPoints / conduct.ConnPoints, conduct.MaxPoints/conduct.ConnPoints - 1
	for _, c := range []struct {
		end      error
		up       bool
		byTarget bool
		learned  bool // the target
		admits   int
	}{
		{errMoves, true, false, false, all},
		{errNoCounterpart, false, false, false, all},
		{compat.Reject(compat.RejectDuplicate, "%v", errReplaced), true, false, false, few},
		{compat.Reject(compat.RejectDuplicate, "%v", errReplaced), true, false, true, few},
		{errors.New("the target has not taken the node"), false, true, false, all},
		{errors.New("the target has closed the connection"), true, true, false, few},
		{errors.New("the target has closed the connection"), true, true, true, all},
		{&lp2p.GoodbyeError{Code: compat.RejectFull}, true, true, false, all},
		{&lp2p.GoodbyeError{Code: compat.RejectUnavailable}, true, true, false, all},
		{&lp2p.GoodbyeError{Code: compat.RejectClosing}, true, true, false, all},
		{&lp2p.GoodbyeError{Code: compat.RejectInvalid}, true, true, false, few},
		{&lp2p.GoodbyeError{}, true, true, false, few},
	} {
		synctest.Test(t, func(t *testing.T) {
			refused := summary.New(quiet())
			defer refused.Close()
			g, admits := newGatekeeper(Config{}, quiet(), refused), 0
			for ; admits < all && g.AdmitConn(from) == nil; admits++ {
				p := (&Bridge{ctx: t.Context()}).newPair(InitiatorNative)
				p.from, p.target = netgroup.Host(netgroup.FromIP(from)), &target{configured: !c.learned}
				var by *side
				if c.byTarget {
					by = p.dialed
				}
				if c.up {
					close(p.ready)
				}
				p.end(by, fmt.Errorf("libp2p side: %w", c.end))
				g.ended(p)
			}
			require.Equal(t, c.admits, admits)
		})
	}
}

// A node that leaves its tunnels at once pays for them, but not for what its target may have done.
func TestTunnelsAreChargedToWhoLeaves(t *testing.T) {
	const all, few = 4 * conduct.MaxPoints / conduct.ConnPoints, conduct.MaxPoints/conduct.ConnPoints - 1
	for _, c := range []struct {
		lasts  time.Duration
		byNode bool
		admits int
	}{
		{0, false, all},
		{time.Millisecond, false, all},
		{time.Millisecond, true, few},
		{conduct.UsefulUptime, true, all},
	} {
		synctest.Test(t, func(t *testing.T) { // so that no points fade
			refused := summary.New(quiet())
			defer refused.Close()
			g, from, admits := newGatekeeper(Config{}, quiet(), refused), net.IPv4(9, 9, 0, 1), 0
			for ; admits < all && g.AdmitConn(from) == nil; admits++ {
				g.TunnelEnded(netgroup.Host(netgroup.FromIP(from)), c.lasts, c.byNode)
			}
			require.Equal(t, c.admits, admits)
		})
	}
}

// Which hosts answer for what comes from them, and which have places of their own.
func TestGatekeeper(t *testing.T) {
	public, loopback := net.IPv4(9, 8, 7, 6), net.IPv4(127, 0, 0, 1)
	target := []*types.NetAddress{{ID: types.GenerateNodeKey().ID(), IP: public}}
	friend := types.GenerateNodeKey().ID()
	most := conduct.MaxPoints / conduct.ConnPoints
	for name, c := range map[string]struct {
		config   Config
		ip       net.IP
		met      types.ID
		admits   int
		reserves bool
	}{
		"a stranger":                      {ip: public, admits: most - 1},
		"of whom nothing is known":        {ip: nil, admits: 2 * most},
		"one of many nodes on a machine":  {ip: loopback, admits: 2 * most},
		"one of many nodes on an IP":      {config: Config{AllowDuplicateIP: true}, ip: public, admits: 2 * most},
		"a native target":                 {config: Config{NativePeers: target}, ip: public, admits: 2 * most, reserves: true},
		"a libp2p target":                 {config: Config{Libp2pPeers: target}, ip: public, admits: 2 * most, reserves: true},
		"an unconditional node":           {config: Config{UnconditionalPeers: []types.ID{friend}}, ip: public, met: friend, admits: 2 * most, reserves: true},
		"another node with a pair":        {ip: public, met: friend, admits: most - 1},
		"an unconditional node elsewhere": {config: Config{UnconditionalPeers: []types.ID{friend}}, ip: public, admits: most - 1},
		"a blocked IP":                    {config: Config{BlockedIPs: []netip.Prefix{netip.MustParsePrefix("9.8.0.0/16")}}, ip: public},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that no points fade
				refused := summary.New(quiet())
				defer refused.Close()
				g := newGatekeeper(c.config, quiet(), refused)
				if c.met != "" {
					g.met(c.met, netip.MustParsePrefix("9.8.7.6/32"))
				}
				admits := 0
				for admits < 2*most && g.AdmitConn(c.ip) == nil {
					admits++
				}
				require.Equal(t, c.admits, admits)
				require.Equal(t, c.reserves, g.ReservesConn(c.ip))
			})
		})
	}
}

// TM2 nodes dial again every few seconds. What the bridge, or a target, could not give them is
// not held against them.
func TestNodesWithoutTargetAreNotBlamed(t *testing.T) {
	b := newBridgeWith(t, Config{ProxyNetworks: proxies()}, func(*Bridge) {})
	at, n := behindProxy(t, b, "9.9.0.1"), newNode(t, InitiatorNative)
	for range 3 * conduct.MaxPoints / conduct.ConnPoints {
		require.False(t, n.comes(t, at))
	}
	require.NoError(t, b.gate.judge(n.address.ID, netip.MustParsePrefix("9.9.0.1/32")))
}

// A node that fits no target costs one a connection each time, so it pays for that itself, and does not
// go on at the cost of all strangers. It is spared while a target that it may fit cannot be reached.
func TestNodeThatFitsNoTargetIsNotSpared(t *testing.T) {
	other, dead := addresses(newNode(t, InitiatorLibp2p, 0x77)), freePort(t)
	dead.ID = types.GenerateNodeKey().ID()
	const most = 3 * conduct.MaxPoints / conduct.ConnPoints
	for _, targets := range [][]*types.NetAddress{other, append(other, &dead)} {
		b := newBridgeWith(t, Config{ProxyNetworks: proxies(), Libp2pPeers: targets}, func(*Bridge) {})
		at, n := behindProxy(t, b, "9.9.0.1"), newNode(t, InitiatorNative)
		refused := func() bool { return b.gate.judge(n.address.ID, netip.MustParsePrefix("9.9.0.1/32")) != nil }
		for i := 0; i < most && !refused(); i++ {
			require.False(t, n.comes(t, at))
		}
		require.Equal(t, len(targets) == 1, refused())
	}
}

// A flood from the network of a configured node, which leaves nobody there the time for a
// handshake, does not keep the node out.
func TestConfiguredNodeGetsThroughAFlood(t *testing.T) {
	friend, target := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	target.ignorePeers(t)
	b := newBridgeWith(t, Config{
		Libp2pPeers: addresses(target), UnconditionalPeers: []types.ID{friend.address.ID}, AllowDuplicateIP: true,
	}, func(b *Bridge) {
		few := native.HandshakeLimits{Total: 4, PerIP: 4, Configured: 1}
		b.native[0] = native.NewRelayTransport(b.key, b.config.MConfig, quiet(), native.WithConnAdmission(b.gate), native.WithHandshakeLimits(few))
	})
	at := comingFrom(t, b, net.IPv4(127, 9, 9, 1))
	require.True(t, friend.comes(t, at), "the bridge learns from where it comes")
	friend.leave(t, b)

	ips := stacktest.IPs(50, func(i int) string { return fmt.Sprintf("127.9.9.%d", 2+i) })
	to := b.NativeAddress()
	f := stacktest.StartFlood(to.DialString(), ips, 0, func(_ int, conn net.Conn) { _, _ = conn.Write([]byte{0x22}) })
	defer f.Stop()
	require.Eventually(t, func() bool { return f.Again() > 50 }, testTimeout, time.Millisecond)
	friend.getsThrough(t, b, at, 10)
}

// getsThrough requires that each dial of the node gets it a pair. A flood that has crowded it out
// makes the bridge hang up at once.
func (n *node) getsThrough(t *testing.T, b *Bridge, at types.NetAddress, dials int) {
	t.Helper()
	for range dials {
		n.join(t, at)
		n.leave(t, b)
	}
}
