package tunnel

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

// door admits, reserves and judges as the test says.
type door struct {
	admit    func(ip net.IP) error
	reserves func(ip net.IP) bool
	ended    chan bool // whether the native node has ended a tunnel
}

func (d *door) AdmitConn(ip net.IP) error   { return d.admit(ip) }
func (d *door) ReservesConn(ip net.IP) bool { return d.reserves(ip) }
func (d *door) TunnelEnded(_ netip.Prefix, lasted time.Duration, byNode bool) {
	if lasted > 0 {
		d.ended <- byNode
	}
}

func openDoor() *door {
	return &door{
		admit: func(net.IP) error { return nil }, reserves: func(net.IP) bool { return false }, ended: make(chan bool, 16),
	}
}

// The ports of tunnels have the admission of the bridge's other ports: it is asked about each
// client, also behind a proxy, and told which side has ended a tunnel.
func TestTunnelPortsHaveAdmission(t *testing.T) {
	d, asked := openDoor(), make(chan string, 16)
	d.admit = func(ip net.IP) error {
		asked <- ip.String()
		if ip.Equal(net.IPv4(9, 9, 0, 1)) {
			return compat.Reject(compat.RejectBanned, "misbehaves")
		}

		return nil
	}
	w := newWorld(t, Config{Admission: d, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}})
	from := func(header string) net.Conn {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
		conn, err := dialer.DialContext(t.Context(), "tcp", w.server.Addresses()[0].DialString())
		require.NoError(t, err)
		_, err = conn.Write([]byte(header))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })

		return conn
	}
	refused := from("PROXY TCP4 9.9.0.1 127.0.0.9 1 2\r\n")
	require.Equal(t, "9.9.0.1", next(t, asked))
	_, err := refused.Read(make([]byte, 1))
	require.Error(t, err)
	noHeader := from("no header at all\r\n")
	_, err = noHeader.Read(make([]byte, 1))
	require.Error(t, err)

	honest := from("PROXY TCP4 9.9.0.2 127.0.0.9 4711 2\r\n")
	require.Equal(t, "9.9.0.2", next(t, asked))
	var open []Open
	require.Eventually(t, func() bool {
		open = w.server.Status()[0].Open

		return len(open) == 1
	}, patience, time.Millisecond)
	require.Equal(t, "9.9.0.2:4711", open[0].Address, "the client, not the proxy")
	require.NoError(t, honest.Close())
	next(t, d.ended)

	late := 0 // dials that were, and whose tunnels their nodes have ended
	for _, byNode := range []bool{true, false} {
		far := startNative(t, types.GenerateNodeKey(), nil)
		out := far.join(t, w.server.Addresses()[0])
		require.Equal(t, "127.0.0.1", next(t, asked))
		in := w.node.met(t)
		late += far.late
		if byNode {
			far.sw.StopPeerForError(out, net.ErrClosed)
		} else {
			w.node.sw.StopPeerForError(in, net.ErrClosed)
		}
		ended := next(t, d.ended)
		for ; ended != byNode && late > 0; late-- {
			ended = next(t, d.ended)
		}
		require.Equal(t, byNode, ended)
		next(t, w.node.removed)
	}
	require.Equal(t, []Refusals{{In, "conduct", 1}, {In, "no header", 1}}, w.server.Status()[0].Refusals)
}

// fromConn is a connection from an IP.
type fromConn struct {
	net.Conn
	ip net.IP
}

func (c fromConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: c.ip, Port: 1} }

// The judge is told of what was let in only: the points of a host fade by no connection that has
// cost none, as from a blocked IP in an IPv6 /64 whose other IPs are not blocked.
func TestOnlyWhoIsLetInIsJudged(t *testing.T) {
	told := 0
	d := &countingDoor{door: openDoor(), told: &told}
	blocked, crowded := net.ParseIP("2001:db8::1"), net.ParseIP("2001:db9::1")
	s := &Server{
		config: Config{Admission: d, Blocks: func(_ types.ID, ip netip.Addr) bool { return ip == netip.MustParseAddr("2001:db8::1") }},
		places: map[types.ID]*places.Places{"a": newPlaces()}, hosts: make(map[hostOf]int),
		events: summary.New(slog.New(slog.DiscardHandler)), counted: newCounters(), ctx: t.Context(),
	}
	defer s.events.Close()
	s.hosts[hostOf{"a", netip.MustParsePrefix("2001:db9::/64")}] = maxPerHost
	for _, c := range []struct {
		ip      net.IP
		ofProxy bool
		told    int
	}{{blocked, false, 0}, {crowded, true, 0}, {crowded, false, 1}} {
		near, far := net.Pipe()
		s.admit(fromConn{near, c.ip}, Target{Node: types.NetAddress{ID: "a"}}, c.ofProxy)
		_, err := far.Read(make([]byte, 1))
		require.Error(t, err, "it is refused")
		require.NoError(t, far.Close())
		require.Equal(t, c.told, told, c.ip)
	}
}

// countingDoor counts the ends that it is told of.
type countingDoor struct {
	*door
	told *int
}

func (d *countingDoor) TunnelEnded(netip.Prefix, time.Duration, bool) { *d.told++ }
