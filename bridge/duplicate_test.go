package bridge

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// comingFrom returns an address at which native nodes reach the bridge from the local IP,
// where connections begin with the header.
func comingFrom(t *testing.T, b *Bridge, ip net.IP, header ...string) types.NetAddress {
	t.Helper()

	return comingTo(t, b.NativeAddress(), ip, header...)
}

// comingTo is comingFrom for either listener of the bridge.
func comingTo(t *testing.T, to types.NetAddress, ip net.IP, header ...string) types.NetAddress {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { passOn(t.Context(), in, ip, to.DialString(), header...) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		wg.Wait()
	})
	addr, err := types.NewNetAddress(to.ID, l.Addr())
	require.NoError(t, err)

	return *addr
}

// passOn joins the connection with one that comes from the IP, until one of them or the
// context ends.
func passOn(ctx context.Context, in net.Conn, ip net.IP, to string, header ...string) {
	defer in.Close()
	out, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}}).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	ctx, end := context.WithCancel(ctx)
	context.AfterFunc(ctx, func() {
		_ = in.Close()
		_ = out.Close()
	})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	wg.Go(func() {
		defer end()
		for _, line := range header {
			_, _ = io.WriteString(out, line)
		}
		_, _ = io.Copy(out, in) // either end may close the connection
	})
	_, _ = io.Copy(in, out)
}

// However many nodes one IP has, it gets one slot of each target, and none that another IP
// could have had.
func TestOneIPGetsOneSlotOfATarget(t *testing.T) {
	targets := []*node{newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p)}
	friend := types.GenerateNodeKey()
	b := newBridgeWith(t, Config{
		Libp2pPeers: addresses(targets...), OnlyConfigured: true, UnconditionalPeers: []types.ID{friend.ID()},
	}, func(*Bridge) {})
	crowded := comingFrom(t, b, net.IPv4(127, 0, 0, 2))
	var paired []*node
	for range 5 {
		if n := newNode(t, InitiatorNative); n.comes(t, crowded) {
			paired = append(paired, n)
		}
	}
	require.Len(t, paired, len(targets))
	for _, target := range targets { // a pair may be up before the switch of its target has the peer
		require.Eventually(t, func() bool { return len(target.sw.Peers().List()) == 1 }, testTimeout, time.Millisecond)
	}
	for i := range 3 {
		require.True(t, newNode(t, InitiatorNative).comes(t, comingFrom(t, b, net.IPv4(127, 0, 1, byte(i)))))
	}
	require.True(t, newNodeOf(t, InitiatorNative, friend).comes(t, crowded), "an unconditional peer is not bound")

	paired[0].stop()
	// The target is free when the slot is, which is after what was sent has arrived. The friend has none.
	require.Eventually(t, func() bool { return b.Status().SlotsTaken == 4 }, testTimeout, time.Millisecond)
	awaitPairs(t, b, 5)
	newNode(t, InitiatorNative).join(t, crowded)
}

// The same holds for libp2p nodes, which learn the key that would change it.
func TestOneIPGetsOneSlotOfANativeTarget(t *testing.T) {
	target, first, second := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p)
	b := newBridgeWith(t, Config{NativePeers: addresses(target)}, func(*Bridge) {})
	require.True(t, first.comes(t, b.Libp2pAddress()))
	_, err := second.tryToJoin(t, b.Libp2pAddress())
	require.ErrorContains(t, err, errDuplicateIP.Error())
}

func TestAllowDuplicateIP(t *testing.T) {
	target := newNode(t, InitiatorLibp2p)
	b := newBridgeWith(t, Config{Libp2pPeers: addresses(target), AllowDuplicateIP: true}, func(*Bridge) {})
	crowded := comingFrom(t, b, net.IPv4(127, 0, 0, 2))
	for range 3 {
		require.True(t, newNode(t, InitiatorNative).comes(t, crowded))
	}
}

// Behind a proxy the client's IP counts, for the rule and for the limits. Nobody else can
// name another IP.
func TestProxyShowsTheIPOfANode(t *testing.T) {
	target := newNode(t, InitiatorLibp2p)
	b := newBridgeWith(t, Config{
		Libp2pPeers: addresses(target), ProxyNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")},
	}, func(*Bridge) {})
	proxy := net.IPv4(127, 0, 0, 9)
	first := comingFrom(t, b, proxy, "PROXY TCP4 9.9.0.1 127.0.0.9 1 2\r\n")
	require.True(t, newNode(t, InitiatorNative).comes(t, first))
	require.False(t, newNode(t, InitiatorNative).comes(t, first), "the IP has its slot")
	require.True(t, newNode(t, InitiatorNative).comes(t, comingFrom(t, b, proxy, "PROXY TCP4 9.9.0.2 127.0.0.9 1 2\r\n")))
	require.False(t, newNode(t, InitiatorNative).comes(t, comingFrom(t, b, net.IPv4(127, 0, 0, 8), "PROXY TCP4 9.9.0.3 127.0.0.9 1 2\r\n")))

	b.slots.mtx.Lock()
	defer b.slots.mtx.Unlock()
	for _, held := range b.slots.held {
		require.Contains(t, []string{"9.9.0.1", "9.9.0.2"}, netgroup.Name(held.host))
	}
}

// The same holds for libp2p nodes behind a proxy, also for the IPs that are blocked.
func TestProxyShowsTheIPOfALibp2pNode(t *testing.T) {
	target := newNode(t, InitiatorNative)
	b := newBridgeWith(t, Config{
		NativePeers: addresses(target), ProxyNetworks: proxies(), BlockedIPs: []netip.Prefix{netip.MustParsePrefix("9.9.1.0/24")},
	}, func(*Bridge) {})
	behind := func(client string) types.NetAddress {
		return comingTo(t, b.Libp2pAddress(), net.IPv4(127, 0, 0, 9), fmt.Sprintf("PROXY TCP4 %s 127.0.0.9 1 2\r\n", client))
	}
	first := behind("9.9.0.1")
	require.True(t, newNode(t, InitiatorLibp2p).comes(t, first))
	require.False(t, newNode(t, InitiatorLibp2p).comes(t, first), "the IP has its slot")
	require.True(t, newNode(t, InitiatorLibp2p).comes(t, behind("9.9.0.2")))
	require.False(t, newNode(t, InitiatorLibp2p).comes(t, behind("9.9.1.1")), "it is blocked")

	b.slots.mtx.Lock()
	defer b.slots.mtx.Unlock()
	for _, held := range b.slots.held {
		require.Contains(t, []string{"9.9.0.1", "9.9.0.2"}, netgroup.Name(held.host))
	}
}

// The rule holds for nodes of both sides, for an IPv6 /64 as for an IPv4 address, and as long
// as the first node has its pair.
func TestOneHostHasOnePairWithATarget(t *testing.T) {
	doubled := func(ts *targets, by dialer) bool {
		return slices.ContainsFunc(ts.all(by), func(t *target) bool { return t.barred == errDuplicateIP })
	}
	at := func(id types.ID, ip string) dialer {
		return dialer{id: id, host: netgroup.Host(netip.MustParseAddr(ip))}
	}
	for _, ts := range []*targets{newTargets(idsOf("one"), nil, unused()), targetsWithBook(t, idsOf("one")...)} {
		first := ts.pick(at("a", "2001:db8::1"), nil)
		require.NotNil(t, first)
		require.Nil(t, ts.pick(at("b", "2001:db8::2"), nil))
		require.NotNil(t, ts.pick(at("b", "2001:db8:0:1::1"), nil), "another /64")
		require.NotNil(t, ts.pick(at("c", "10.0.0.1"), nil))
		require.Nil(t, ts.pick(at("d", "10.0.0.1"), nil))
		require.NotNil(t, ts.pick(at("e", "10.0.0.2"), nil))
		require.NotNil(t, ts.pick(the("exempt"), nil))
		require.True(t, doubled(ts, at("d", "10.0.0.1")))
		require.False(t, doubled(ts, at("f", "10.0.0.3")))
		ts.release(first, kept)
		require.NotNil(t, ts.pick(at("b", "2001:db8::2"), nil))
	}
}
