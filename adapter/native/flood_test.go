package native

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

// requireAddresses skips a test on a machine on which not all of 127.0.0.0/8 is local.
func requireAddresses(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.77.0.1:0")
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Skip("127.0.0.0/8 is not local here, so that nobody can come from many addresses")
	}
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// Two networks, and several hosts of a third one.
var floodIPs = []string{"127.1.0.1", "127.2.0.1", "127.3.0.1", "127.3.0.2", "127.3.1.1", "127.3.2.1"}

// Connections from a few networks that begin a handshake and do not end it keep no other
// network out, though no deadline ends them and each comes again when it has to give way.
func TestFloodOfHandshakesKeepsNobodyOut(t *testing.T) {
	requireAddresses(t)
	strangers := types.GenerateNodeKey().PrivKey
	for name, begin := range map[string]func(net.Conn){
		"silent":   func(net.Conn) {},
		"one byte": func(conn net.Conn) { _, _ = conn.Write([]byte{0x22}) },
		"without NodeInfo": func(conn net.Conn) {
			_, _ = secretconn.MakeSecretConnection(conn, strangers)
		},
	} {
		t.Run(name, func(t *testing.T) {
			listener, _ := newLoggedTransport(t, WithHandshakeLimits(HandshakeLimits{Total: 64, PerIP: 16}))
			listener.timeout = time.Hour
			require.NoError(t, listener.Listen(loopback()))
			ips := stacktest.IPs(16*len(floodIPs), func(i int) string { return floodIPs[i%len(floodIPs)] })
			f := stacktest.StartFlood(dialString(listener), ips, 0, func(_ int, conn net.Conn) { begin(conn) })
			defer f.Stop()
			require.Eventually(t, func() bool { return f.Again() > 64 }, testTimeout, time.Millisecond)

			dialer := newTransport(t, "net")
			dialer.timeout = time.Hour
			for range 20 {
				out, in := connect(t, dialer, listener, newBehavior(), newBehavior())
				dialer.Remove(out)
				listener.Remove(in)
			}
		})
	}
}

// The same holds between public addresses and with no option set, while the flood is larger
// than the number of places.
func TestFloodAtDefaults(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	for name, first := range map[string][]byte{"silent": nil, "one byte": {0x22}} {
		t.Run(name, func(t *testing.T) {
			listener := newDefaultTransport(t, "net")
			require.NoError(t, listener.Listen(types.NetAddress{IP: net.IPv4zero}))
			addr := listener.NetAddress()
			addr.IP = net.IPv4(8, 8, 8, 8)
			ips := stacktest.IPs(448, func(i int) string { return fmt.Sprintf("60.%d.1.1", i%7) })
			f := stacktest.StartFlood(addr.DialString(), ips, 10*time.Millisecond, func(_ int, conn net.Conn) { _, _ = conn.Write(first) })
			defer f.Stop()
			for i := range 20 {
				ip := net.IPv4(51, byte(i), 0, 1)
				out, in, err := throughFlood(t, ip, addr, listener)
				for late := 1; err != nil; late++ { // on a busy machine
					t.Logf("honest dial %d: %v", i, err)
					require.Less(t, late, 3, "late dials")
					out, in, err = throughFlood(t, ip, addr, listener)
				}
				listener.Remove(in)
				require.NoError(t, out.CloseConn())
			}
		})
	}
}

// throughFlood makes a new node at the IP dial the listener, and returns both ends. The error is that of
// a dial or an accept that was late; any other fails the test.
func throughFlood(
	t *testing.T, ip net.IP, addr types.NetAddress, listener *MultiplexTransport,
) (out, in compat.PeerConn, err error) {
	t.Helper()
	begun := time.Now()
	out, from, err := dialFrom(t, ip, addr)
	if err != nil {
		require.GreaterOrEqual(t, time.Since(begun), HandshakeTimeout, "%v", err)

		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*HandshakeTimeout) // that of the listener ends before
	defer cancel()
	for {
		in, err = listener.Accept(ctx, newBehavior())
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, nil, errors.Join(err, out.CloseConn())
		}
		require.NoError(t, err)
		if in.RemoteAddr().String() == from {
			return out, in, nil
		}
		listener.Remove(in) // of a dial that was late
	}
}

// dialFrom makes a new node at defaults dial the address from the IP, and returns the IP:port of its
// end.
func dialFrom(t *testing.T, ip net.IP, addr types.NetAddress) (out compat.PeerConn, from string, err error) {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}}
	conn, err := dialer.DialContext(testContext(t), "tcp", addr.DialString())
	require.NoError(t, err)
	out, err = newDefaultTransport(t, "net").DialOn(testContext(t), conn, addr, newBehavior())

	return out, conn.LocalAddr().String(), err
}

// reserving is a switch with configured peers at one address.
type reserving struct {
	*behavior

	at net.IP
}

func (r *reserving) ReservesConn(ip net.IP) bool { return ip.Equal(r.at) }

// A flood that has ended its handshakes takes all places for good, as nobody accepts. The
// configured peer still gets through its own.
func TestConfiguredPeersHavePlaces(t *testing.T) {
	requireAddresses(t)
	const total = 4
	listener, _ := newLoggedTransport(t, WithHandshakeLimits(HandshakeLimits{Total: total, PerIP: total, Configured: 1}))
	listener.timeout = time.Hour
	require.NoError(t, listener.Listen(loopback()))
	listener.guard.Ask(&reserving{behavior: newBehavior(), at: net.IPv4(127, 0, 0, 1)})

	addr := listener.NetAddress()
	come := func(ip net.IP) (*MultiplexTransport, error) {
		mt := newTransport(t, "net")
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}}).DialContext(t.Context(), "tcp", addr.DialString())
		require.NoError(t, err)
		_, err = establish(t, mt, conn, &addr, newBehavior())

		return mt, err
	}
	for range total {
		_, err := come(net.IPv4(127, 9, 0, 1))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return len(listener.incoming) == total }, testTimeout, time.Millisecond)
	_, err := come(net.IPv4(127, 8, 0, 1))
	require.Error(t, err, "a stranger has to wait")
	friend, err := come(net.IPv4(127, 0, 0, 1))
	require.NoError(t, err)
	for range total {
		in, err := listener.Accept(testContext(t), newBehavior())
		require.NoError(t, err)
		require.NotEqual(t, friend.nodeKey.ID(), in.ID())
	}
	in, err := listener.Accept(testContext(t), newBehavior())
	require.NoError(t, err)
	require.Equal(t, friend.nodeKey.ID(), in.ID())
}

// A flood from many hosts of the peer's own network leaves a stranger there little time. A
// configured peer gets through, each time.
func TestConfiguredPeersGetThroughAFlood(t *testing.T) {
	requireAddresses(t)
	listener, _ := newLoggedTransport(t, WithHandshakeLimits(HandshakeLimits{Total: 4, PerIP: 4, Configured: 1}))
	listener.timeout = time.Hour
	require.NoError(t, listener.Listen(loopback()))
	b := &reserving{behavior: newBehavior(), at: net.IPv4(127, 0, 0, 1)}
	listener.guard.Ask(b)

	ips := stacktest.IPs(50, func(i int) string { return fmt.Sprintf("127.0.0.%d", 2+i) })
	f := stacktest.StartFlood(dialString(listener), ips, 0, func(_ int, conn net.Conn) { _, _ = conn.Write([]byte{0x22}) })
	defer f.Stop()
	require.Eventually(t, func() bool { return f.Again() > 50 }, testTimeout, time.Millisecond)
	dialer := newTransport(t, "net")
	dialer.timeout = time.Hour
	for range 20 {
		out, err := dialer.Dial(testContext(t), listener.NetAddress(), newBehavior())
		require.NoError(t, err)
		in, err := listener.Accept(testContext(t), b)
		require.NoError(t, err)
		require.Equal(t, dialer.nodeKey.ID(), in.ID())
		dialer.Remove(out)
		listener.Remove(in)
	}
}
