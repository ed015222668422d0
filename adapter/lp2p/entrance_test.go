package lp2p

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// dialingFrom lets a node dial from the IP.
func dialingFrom(ip string) Option {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	transport := libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport(),
		tcp.WithDialerForAddr(func(multiaddr.Multiaddr) (tcp.ContextDialer, error) { return dialer, nil }))

	return withTCP(transport, dialer.DialContext)
}

// newDialer returns a patient node that does not listen and dials from the IP.
func newDialer(t testing.TB, ip string) *node {
	t.Helper()
	key := types.GenerateNodeKey()
	tr, err := NewTransport(nodeInfo(key.ID()), *key, nil, WithTimeouts(patientTimeouts()), dialingFrom(ip))
	require.NoError(t, err)

	return &node{Transport: tr, behavior: newBehavior(), key: key}
}

// startFlood starts a flood whose connections begin with first. It ends with the test.
func startFlood(t *testing.T, to string, first []byte, ips []string) {
	t.Helper()
	f := stacktest.StartFlood(to, ips, 10*time.Millisecond, func(_ int, conn net.Conn) {
		_, _ = conn.Write(first) // it may have been closed already
	})
	t.Cleanup(f.Stop)
}

// Connections that prove nothing keep no honest node out, however many there are: from a
// few IPs, or from as many /64 of one site as there are places.
func TestHalfOpenConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	if !netnstest.Inside(t) {
		return
	}
	few := stacktest.IPs(448, func(i int) string { return fmt.Sprintf("60.%d.1.1", i%7) })
	site := stacktest.IPs(448, func(i int) string { return fmt.Sprintf("2a00:1:1:%x::1", i) })
	for name, c := range map[string]struct {
		to, honest string
		ips        []string
		first      []byte
	}{
		"silent, of 7 IPs":            {"8.8.8.8", "51.%d.1.1", few, nil},
		"silent, of one IPv6 48":      {"2a01::1", "2a02:%x::1", site, nil},
		"multistream, of 7 IPs":       {"8.8.8.8", "51.%d.1.1", few, sniff.MultistreamHeader},
		"one byte, of one IPv6 48":    {"2a01::1", "2a02:%x::1", site, sniff.Libp2pStart[:1]},
		"multistream, of one IPv6 48": {"2a01::1", "2a02:%x::1", site, sniff.MultistreamHeader},
	} {
		t.Run(name, func(t *testing.T) {
			listener, _ := newLoggedNode(t, net.ParseIP("::")) // no connection ends by itself
			listener.acceptLoop(t)
			addr := listener.NetAddress()
			addr.IP = net.ParseIP(c.to)
			startFlood(t, addr.DialString(), c.first, c.ips)
			for i := range 10 {
				honest := newDialer(t, fmt.Sprintf(c.honest, i))
				p, err := honest.Dial(timeout(t), addr, honest.behavior)
				require.NoError(t, err, "honest dial %d", i)
				require.NoError(t, p.Start())
				require.NoError(t, honest.Close())
			}
		})
	}
}

// friendly is a switch with a configured peer at an IP.
type friendly struct {
	*behavior
	ip net.IP
}

func (f friendly) ReservesConn(ip net.IP) bool { return ip.Equal(f.ip) }

// A connection from the IP of a configured peer does not give way to others of its network.
func TestConfiguredPeersHavePlaces(t *testing.T) {
	limits := DefaultLimits()
	limits.Connections = 2 * minPlaces
	listener, _ := newLoggedNode(t, net.IPv4zero, WithLimits(limits), shortHandshake(patience))
	friend := net.IPv4(127, 0, 0, 77)
	listener.reserveFor(friend)
	conn := listener.knock(t, friend)
	addr := listener.NetAddress()
	startFlood(t, addr.DialString(), nil, stacktest.IPs(minPlaces+20, func(i int) string { return fmt.Sprintf("127.0.0.%d", 100+i) }))
	require.True(t, greets(t, conn))
}

// reserveFor makes the switch of the node know a configured peer at the IP.
func (n *node) reserveFor(ip net.IP) {
	n.gater.guard.Ask(friendly{n.behavior, ip})
}

// knock connects to the node from a loopback address. The connection is closed with the test.
func (n *node) knock(t *testing.T, from net.IP) net.Conn {
	t.Helper()
	conn, err := n.tryKnock(t, from)
	require.NoError(t, err)

	return conn
}

func (n *node) tryKnock(t *testing.T, from net.IP) (net.Conn, error) {
	t.Helper()
	addr := n.NetAddress()
	addr.IP = net.IPv4(127, 0, 0, 1)
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).Dial("tcp", addr.DialString())
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
	}

	return conn, err
}

// greets begins to speak libp2p and reports whether the node does so too.
func greets(t *testing.T, conn net.Conn) bool {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err := conn.Write(sniff.MultistreamHeader)
	first := make([]byte, len(sniff.MultistreamHeader))
	if err == nil {
		_, err = io.ReadFull(conn, first)
	}
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)

	return err == nil && bytes.Equal(first, sniff.MultistreamHeader)
}

// A blocked IP gets no handshake.
func TestBlockedIPIsNotGreeted(t *testing.T) {
	listener, _ := newLoggedNode(t, net.IPv4zero)
	blocked := net.IPv4(127, 0, 0, 77)
	require.True(t, greets(t, listener.knock(t, blocked)))
	require.NoError(t, listener.BlockIP(blocked))
	conn, err := listener.tryKnock(t, blocked)
	if err == nil { // it is closed so early that connecting may fail
		require.False(t, greets(t, conn))
	}
	require.True(t, greets(t, listener.knock(t, net.IPv4(127, 0, 0, 78))))
}

// Health checks, by connecting or by HTTP, cost one line together, and a failure of a
// remote that speaks libp2p has its own.
func TestHealthChecksAreSummedUp(t *testing.T) {
	listener, logs := newLoggedNode(t, net.IPv4(127, 0, 0, 1))
	addr := listener.NetAddress()
	for i := range 6 {
		conn, err := net.Dial("tcp", addr.DialString())
		require.NoError(t, err)
		if i%2 == 0 {
			_, err := conn.Write([]byte("GET /health HTTP/1.1\r\nHost: node\r\n\r\n"))
			require.NoError(t, err)
		} else {
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		}
		requireClosed(t, conn)
		// The first line is about the first connection.
		require.Eventually(t, func() bool { return strings.Contains(logs.String(), "remote speaks HTTP") }, patience, time.Millisecond)
	}
	broken, err := net.Dial("tcp", addr.DialString())
	require.NoError(t, err)
	_, err = broken.Write(append(slices.Clone(sniff.MultistreamHeader), "\x05none\n"...))
	require.NoError(t, err)
	require.NoError(t, broken.(*net.TCPConn).CloseWrite())
	requireClosed(t, broken)
	logged := func() bool { return strings.Contains(logs.String(), "failed to negotiate security protocol") }
	require.Eventually(t, logged, patience, time.Millisecond, "the line comes after the end of the connection")
	require.NoError(t, listener.Close())
	require.Equal(t, 3, strings.Count(logs.String(), "inbound connection failed"), "%s", logs)
	require.Contains(t, logs.String(), "more_times=5")
	require.Contains(t, logs.String(), "remote speaks HTTP")
}

// requireClosed waits until the remote closes the connection, and closes it too.
func requireClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, conn.Close())
}

// A remote that says nothing, or less than a protocol begins with, has the handshake
// timeout, and one that goes no further the dial timeout.
func TestHalfOpenConnectionsEnd(t *testing.T) {
	timeouts := DefaultTimeouts()
	timeouts.Handshake, timeouts.Dial = 50*time.Millisecond, 50*time.Millisecond
	listener, _ := newLoggedNode(t, net.IPv4(127, 0, 0, 1), WithTimeouts(timeouts))
	addr := listener.NetAddress()
	for _, first := range []string{"", "\x13/", string(sniff.MultistreamHeader)} {
		conn, err := net.Dial("tcp", addr.DialString())
		require.NoError(t, err)
		_, _ = conn.Write([]byte(first)) // it may have been closed already
		requireClosed(t, conn)
	}
}

// What libp2p's resource manager allows an IP is used up by connections that have proved
// an ID, and closing the host ends those that have not.
func TestHalfOpenConnectionsUseNoResources(t *testing.T) {
	listener, _ := newLoggedNode(t, net.IPv4(127, 0, 0, 1))
	var conns []net.Conn
	for range 8 {
		conn := listener.knock(t, net.IPv4(127, 0, 0, 1))
		require.True(t, greets(t, conn))
		conns = append(conns, conn)
	}
	inbound := func() (n int) {
		require.NoError(t, listener.Host().Network().ResourceManager().ViewSystem(func(s network.ResourceScope) error {
			n = s.Stat().NumConnsInbound

			return nil
		}))

		return n
	}
	require.Zero(t, inbound())
	connect(t, newNode(t, nil), listener)
	require.Equal(t, 1, inbound())
	require.NoError(t, listener.Close())
	for _, conn := range conns {
		requireClosed(t, conn)
	}
	require.Zero(t, inbound())
}

// The rate of handshakes of one IP is limited before they begin, but not that of a
// configured peer.
func TestHandshakeRateOfOneIP(t *testing.T) {
	limits := DefaultLimits()
	limits.ConnectionsPerIP = 1
	listener, logs := newLoggedNode(t, net.IPv4zero, WithLimits(limits), func(o *options) { o.loopbackCounts = true })
	stranger, friend := net.IPv4(127, 0, 0, 66), net.IPv4(127, 0, 0, 77)
	listener.reserveFor(friend)
	answered := func(from net.IP) bool {
		conn := listener.knock(t, from)
		defer conn.Close()

		return greets(t, conn)
	}
	for range 2 * limits.ConnectionsPerIP {
		require.True(t, answered(stranger))
	}
	for ctx := timeout(t); answered(stranger); { // at some time too many come within a second
		require.NoError(t, ctx.Err())
	}
	for range 10 * limits.ConnectionsPerIP {
		require.True(t, answered(friend))
	}
	require.NoError(t, listener.Close())
	require.Contains(t, logs.String(), errTooOften.Error())
}
