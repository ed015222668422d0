package bridge

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

func TestConfigTakesHostNames(t *testing.T) {
	id := types.GenerateNodeKey().ID()
	for _, c := range []struct {
		addr  types.NetAddress
		valid bool
	}{
		{types.NetAddress{ID: id, Hostname: "node.example", Port: 1}, true},
		{types.NetAddress{ID: id, Hostname: "node.example", IP: loopback().IP, Port: 1}, true},
		{types.NetAddress{Hostname: "node.example", Port: 1}, false},
		{types.NetAddress{ID: id, Port: 1}, false},
		{types.NetAddress{ID: id, IP: net.IPv4zero, Port: 1}, false},
	} {
		for field, config := range map[string]Config{
			"NativePeers": Config{NativePeers: []*types.NetAddress{&c.addr}}.withDefaults(),
			"Libp2pPeers": Config{Libp2pPeers: []*types.NetAddress{&c.addr}}.withDefaults(),
		} {
			err := config.Validate()
			if c.valid {
				require.NoError(t, err, "%s: %+v", field, c.addr)

				continue
			}
			require.ErrorIs(t, err, ErrInvalidConfig, "%s: %+v", field, c.addr)
			require.ErrorContains(t, err, field)
		}
	}
}

// named returns the node's address with a name in place of the IP.
func named(n *node, name string) *types.NetAddress {
	addr := n.address
	addr.IP, addr.Hostname = nil, name

	return &addr
}

// A name that does not resolve when the bridge starts does when a pair is made.
func TestTargetsByHostName(t *testing.T) {
	names := dnstest.Install(t)
	native, modern := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{
		NativePeers: []*types.NetAddress{named(native, "native.example")},
		Libp2pPeers: []*types.NetAddress{named(modern, "modern.example")},
	})
	names.Set("native.example", loopback().IP)
	names.Set("modern.example", loopback().IP)

	dialer := newNode(t, InitiatorNative)
	dialer.join(t, b.NativeAddress())
	modern.met(t)
	exchange(t, dialer, modern)

	dialer = newNode(t, InitiatorLibp2p)
	dialer.join(t, b.Libp2pAddress())
	native.met(t)
	exchange(t, dialer, native)
}

// A configured node without an IP is not named to others, and neither is its host name.
func TestHostNamesAreNotTold(t *testing.T) {
	names := dnstest.Install(t)
	channels := []byte{chVotes, discoveryChannel}
	native, modern := newNode(t, InitiatorNative, channels...), newNode(t, InitiatorLibp2p, channels...)
	other, unresolved := newNode(t, InitiatorNative), newNode(t, InitiatorNative)
	names.Set("modern.example", loopback().IP)
	b := newBridge(t, Config{
		NativePeers: append(addresses(other), named(unresolved, "native.example")),
		Libp2pPeers: []*types.NetAddress{named(modern, "modern.example")},
	})
	native.join(t, b.NativeAddress())
	modern.met(t)

	require.True(t, native.sw.Peers().List()[0].Send(discoveryChannel, wire.AppendRequest(nil)))
	addrs, request, err := wire.DecodeDiscovery([]byte(next(t, native.messages).data))
	require.NoError(t, err)
	require.False(t, request)
	require.Equal(t, []string{other.address.String()}, addrs)
}

// A name that leads to a blocked IP is not dialed there. Nodes get another counterpart.
func TestNameOfABlockedIP(t *testing.T) {
	names := dnstest.Install(t)
	l, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	accepted := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.Close()
		}
		accepted <- err
	}()
	at := types.NetAddress{ID: types.GenerateNodeKey().ID(), Hostname: "blocked.example", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	names.Set(at.Hostname, net.IPv4(127, 0, 0, 2))
	native := newNode(t, InitiatorNative)
	b := newBridgeWith(t, Config{
		NativePeers: []*types.NetAddress{&at, &native.address}, BlockedIPs: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")},
	}, func(*Bridge) {})
	dialer := newNode(t, InitiatorLibp2p)
	dialer.join(t, b.Libp2pAddress())
	native.met(t)
	exchange(t, dialer, native)
	s := statusOf(t, b, at.ID)
	require.Contains(t, s.LastError, errBlockedIP.Error())
	require.NotContains(t, s.LastError, "refused", "no node was refused")
	require.Equal(t, TargetDown, s.State)
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-accepted, net.ErrClosed, "nobody has connected")
}
