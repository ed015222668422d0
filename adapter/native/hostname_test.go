package native

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
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

// A name leads to its node whatever answers at the other addresses of the name, in
// whatever order: nothing, another node, a web server, one that hangs up, or one that
// says nothing.
func TestDialTriesEveryAddressOfAName(t *testing.T) {
	ip := func(last byte) net.IP { return net.IPv4(127, 0, 0, last) }
	for _, right := range []net.IP{ip(1), ip(6), net.IPv6loopback} {
		t.Run(right.String(), func(t *testing.T) {
			ips := []net.IP{ip(2), ip(3), ip(4), ip(5), right}
			port := stacktest.FreePortAt(t, ips...)
			other := newTransport(t, "net")
			require.NoError(t, other.Listen(types.NetAddress{IP: ip(2), Port: port}))
			stacktest.AnswerAt(t, ip(3), port, func(conn net.Conn) {
				_, err := conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
				require.NoError(t, err)
			})
			stacktest.AnswerAt(t, ip(4), port, func(net.Conn) {})
			mute := make(chan struct{})
			stacktest.AnswerAt(t, ip(5), port, func(net.Conn) { <-mute })
			t.Cleanup(func() { close(mute) })
			listener := newTransport(t, "net")
			require.NoError(t, listener.Listen(types.NetAddress{IP: right, Port: port}))

			names := dnstest.Install(t)
			dialer := newTransport(t, "net")
			addr := types.NetAddress{ID: listener.NetAddress().ID, Hostname: "node.example", Port: port}
			slices.Reverse(ips)
			names.Set("node.example", append([]net.IP{ip(7)}, ips...)...) // nothing is at 127.0.0.7
			out, in := connectAt(t, dialer, listener, addr, newBehavior(), newBehavior())
			require.Equal(t, right.String(), out.SocketAddr().IP.String())
			dialer.Remove(out)
			listener.Remove(in)

			names.Set("node.example", ip(5), ip(4), ip(3), ip(2), right)
			out, in = connectAt(t, dialer, listener, addr, newBehavior(), newBehavior())
			dialer.Remove(out)
			listener.Remove(in)
		})
	}
}

// A peer that may still be at a silent address of its name does not look gone.
func TestSilenceOutranksAWrongNode(t *testing.T) {
	ip := func(last byte) net.IP { return net.IPv4(127, 0, 0, last) }
	port := stacktest.FreePortAt(t, ip(2), ip(5))
	other := newTransport(t, "net")
	require.NoError(t, other.Listen(types.NetAddress{IP: ip(2), Port: port}))
	mute := make(chan struct{})
	stacktest.AnswerAt(t, ip(5), port, func(net.Conn) { <-mute })
	t.Cleanup(func() { close(mute) })

	names := dnstest.Install(t)
	dialer := newTransport(t, "net")
	dialer.timeout = 5 * time.Second // also for the wrong node on a busy machine
	addr := types.NetAddress{ID: types.GenerateNodeKey().ID(), Hostname: "node.example", Port: port}
	names.Set("node.example", ip(2), ip(7)) // nothing is at 127.0.0.7
	_, err := dialer.Dial(testContext(t), addr, newBehavior())
	require.Equal(t, compat.DialWrongID, compat.ClassifyDial(err))
	names.Set("node.example", ip(2), ip(5), ip(7))
	_, err = dialer.Dial(testContext(t), addr, newBehavior())
	require.Equal(t, compat.DialTimedOut, compat.ClassifyDial(err))
	require.ErrorContains(t, err, "127.0.0.2")
	require.ErrorContains(t, err, "127.0.0.7")
}
