package native

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
)

// A configured name is looked up at each dial: it may not resolve at first, and
// lead somewhere else later. An IP beside it, from an earlier look-up, is not used.
func TestDialResolvesHostNames(t *testing.T) {
	names := dnstest.Install(t)
	dialer, listener := newTransport(t, "net"), listen(t, "net")
	byName := listener.NetAddress()
	byName.Hostname, byName.IP = "node.example", nil
	stale := byName
	stale.IP = net.IPv4zero // no address to dial
	queries := 0
	for _, addr := range []types.NetAddress{byName, stale} {
		names.Set("node.example", nil)
		_, err := dialer.Dial(testContext(t), addr, newBehavior())
		var unresolved *net.DNSError
		require.ErrorAs(t, err, &unresolved)
		require.True(t, unresolved.IsNotFound)
		var failed *HandshakeError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, "dial", failed.Step)

		names.Set("node.example", net.IPv4(127, 0, 0, 2)) // nobody listens there
		_, err = dialer.Dial(testContext(t), addr, newBehavior())
		var refused *net.OpError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "127.0.0.2", refused.Addr.(*net.TCPAddr).IP.String())

		names.Set("node.example", net.IPv4(127, 0, 0, 1))
		out, in := connectAt(t, dialer, listener, addr, newBehavior(), newBehavior())
		require.Equal(t, listener.NetAddress().ID, out.ID())
		require.True(t, out.SocketAddr().IP.IsLoopback())
		dialer.Remove(out)
		listener.Remove(in)

		queries += 3
		require.Equal(t, queries, names.Queries("node.example"))
	}
}

func TestDialRefusesAddressesThatLeadNowhere(t *testing.T) {
	dialer := newTransport(t, "net")
	id := types.GenerateNodeKey().ID()
	for _, addr := range []types.NetAddress{
		{ID: id, Port: 1},
		{ID: id, IP: net.IPv4zero, Port: 1},
		{Hostname: "node.example", Port: 1},
		{ID: "nobody", Hostname: "node.example", Port: 1},
	} {
		_, err := dialer.Dial(testContext(t), addr, newBehavior())
		var failed *HandshakeError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, "dial", failed.Step)
		require.ErrorContains(t, err, addr.DialString())
	}
}
