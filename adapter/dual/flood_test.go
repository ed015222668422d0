package dual_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// beginnings are what the connections of a flood send before they fall silent. Those of the
// mixed flood take turns.
var beginnings = map[string][][]byte{
	"silent":      {nil},
	"native byte": {sniff.NativeStart[:1]},
	"multistream": {sniff.MultistreamHeader},
	"mixed":       {nil, sniff.NativeStart[:1], sniff.MultistreamHeader},
}

// honestKinds dial in turn.
var honestKinds = []string{"native", "libp2p", "dual"}

// startFlood starts a flood whose connections begin in turn in the given ways.
func startFlood(to string, beginning [][]byte, pace time.Duration, ips []string) *stacktest.Flood {
	return stacktest.StartFlood(to, ips, pace, func(i int, conn net.Conn) {
		_, _ = conn.Write(beginning[i%len(beginning)]) // it may have been closed already
	})
}

// withSockets makes a node of the kind at defaults.
func withSockets(t testing.TB, kind string, s compat.Sockets) compat.ListeningTransport {
	t.Helper()
	tr, err := nodeWith(kind, loopbackSpec(), s)
	require.NoError(t, err)

	return tr
}

// atIP makes a patient node of the kind that dials from the IP.
func atIP(kind, ip string, spec compattest.Spec) (compat.ListeningTransport, error) {
	s := stacktest.SocketsFrom{IP: net.ParseIP(ip)}
	switch kind {
	case "native":
		return native.NewMultiplexTransport(spec.Info, spec.Key, mconn.DefaultMConnConfig(), nil,
			patientNative(), native.WithSockets(s)), nil
	case "libp2p":
		return lp2p.NewTransport(spec.Info, spec.Key, nil, append(patientLibp2p(), lp2p.WithSockets(s))...)
	default:
		return dual.NewTransport(spec.Info, spec.Key, mconn.DefaultMConnConfig(), nil, patientDual(dual.WithSockets(s))...)
	}
}

// nodeWith makes a node of the kind at defaults. Nil sockets are the system's.
func nodeWith(kind string, spec compattest.Spec, s compat.Sockets) (compat.ListeningTransport, error) {
	switch kind {
	case "native":
		return native.NewMultiplexTransport(spec.Info, spec.Key, mconn.DefaultMConnConfig(), nil, native.WithSockets(s)), nil
	case "libp2p":
		return lp2p.NewTransport(spec.Info, spec.Key, nil, lp2p.WithSockets(s))
	default:
		return dual.NewTransport(spec.Info, spec.Key, mconn.DefaultMConnConfig(), nil, dual.WithSockets(s))
	}
}

// honestDials requires that nodes at the IPs, of each kind in turn, get through to a port of the
// address. A dial that has taken lp2p.SniffTimeout is repeated within a minute: the listener may have
// taken its dialer for a native one. On a machine that has one processor for the flood, its target and
// the dialers, there may be as many late dials as honest nodes, and no more.
func honestDials(t *testing.T, ips []string, to compat.ListeningTransport, at string) {
	t.Helper()
	addr := to.NetAddress()
	addr.IP = net.ParseIP(at)
	late := 0
	for i, ip := range ips {
		kind := honestKinds[i%len(honestKinds)]
		honest, err := atIP(kind, ip, loopbackSpec())
		require.NoError(t, err)
		ctx := timeout(t)
		begun := time.Now()
		p, err := honest.Dial(ctx, addr, newBehavior())
		for err != nil && time.Since(begun) >= lp2p.SniffTimeout && ctx.Err() == nil {
			late++
			t.Logf("%s dial %d is late: %v", kind, i, err)
			begun = time.Now()
			p, err = honest.Dial(ctx, addr, newBehavior())
		}
		require.NoError(t, err, "%s dial %d", kind, i)
		require.NoError(t, p.Start())
		require.NoError(t, honest.Close())
	}
	require.LessOrEqual(t, late, len(ips), "late dials")
}

// listenAtAll makes a node of both stacks listen at all addresses of both families. It takes a silent
// remote for a native one after the usual time.
func listenAtAll(t testing.TB, b compat.PeerBehavior, opts ...dual.Option) compat.ListeningTransport {
	t.Helper()
	usual := dual.WithLibp2p(leeway.Sniff(lp2p.SniffTimeout).(lp2p.Option))
	tr := kinds["dual"](t, loopbackSpec(), append(opts, usual)...)
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv6unspecified}))
	acceptAll(t, tr, b, func(p compat.PeerConn) { _ = p.Start() })

	return tr
}

// Connections that prove no ID keep no honest node out, whatever they begin with and whatever
// stack the honest node speaks: from a few IPs, or from as many /64 of one site as there are
// places.
func TestFloodsKeepNobodyOut(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	const connections = 448
	few := stacktest.IPs(connections, func(i int) string { return fmt.Sprintf("60.%d.1.1", i%7) })
	site := stacktest.IPs(connections, func(i int) string { return fmt.Sprintf("2a00:1:1:%x::1", i) })
	for network, c := range map[string]struct {
		to, honest string
		ips        []string
	}{
		"7 IPs":       {"8.8.8.8", "51.%d.1.1", few},
		"one IPv6 48": {"2a01::1", "2a02:%x::1", site},
	} {
		for name, beginning := range beginnings {
			t.Run(name+", of "+network, func(t *testing.T) {
				listener := listenAtAll(t, newBehavior())
				f := startFlood(net.JoinHostPort(c.to, fmt.Sprint(listener.NetAddress().Port)), beginning, 10*time.Millisecond, c.ips)
				defer f.Stop()
				honestDials(t, stacktest.IPs(10, func(i int) string { return fmt.Sprintf(c.honest, i) }), listener, c.to)
			})
		}
	}
}

// reserving is a switch with a configured peer at an IP.
type reserving struct {
	*behavior

	ip net.IP
}

func (r reserving) ReservesConn(ip net.IP) bool { return ip.Equal(r.ip) }

// fewPlaces leaves 16 places before authentication, the least that there are.
func fewPlaces() dual.Option {
	limits := lp2p.DefaultLimits()
	limits.Connections = 32

	return dual.WithLibp2p(lp2p.WithLimits(limits))
}

// A configured peer gets in through a flood from its own network, in which no stranger has
// the time for a handshake.
func TestConfiguredPeersGetThroughAFlood(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	const friend = "51.0.0.1"
	ips := stacktest.IPs(240, func(i int) string { return fmt.Sprintf("51.0.0.%d", 2+i) })
	for name, beginning := range beginnings {
		t.Run(name, func(t *testing.T) {
			listener := listenAtAll(t, reserving{newBehavior(), net.ParseIP(friend)}, fewPlaces())
			f := startFlood(net.JoinHostPort("8.8.8.8", fmt.Sprint(listener.NetAddress().Port)), beginning, time.Millisecond, ips)
			defer f.Stop()
			honestDials(t, stacktest.IPs(20, func(int) string { return friend }), listener, "8.8.8.8")
		})
	}
}

// Connections of both stacks share the places: those that begin with the native protocol take
// the places of those that begin with libp2p's.
func TestBothStacksShareThePlaces(t *testing.T) {
	t.Parallel()
	const places = 16
	timeouts := lp2p.DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake = time.Hour, time.Hour // no connection ends by itself
	listener, _ := listen(t, "dual", loopbackSpec(), fewPlaces(), dual.WithLibp2p(lp2p.WithTimeouts(timeouts)),
		dual.WithNative(leeway.Handshake(time.Hour).(native.Option)))
	addr := listener.NetAddress()
	knock := func(first []byte) net.Conn {
		conn, err := net.Dial("tcp", addr.DialString())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = conn.Write(first)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patient)))
		answer := make([]byte, len(first))
		_, err = io.ReadFull(conn, answer)
		require.NoError(t, err)
		require.Equal(t, first, answer, "the node speaks the same protocol")

		return conn
	}
	former := make([]net.Conn, places)
	for i := range former {
		former[i] = knock(sniff.MultistreamHeader)
	}
	for i, conn := range former {
		knock(sniff.NativeStart)
		_, err := io.Copy(io.Discard, conn)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "connection %d did not give way", i)
	}
}
