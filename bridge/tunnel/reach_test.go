package tunnel

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
)

// A node dials a native node that both know by a host name, at the IP that the node has found,
// although the name did not resolve, or led elsewhere, when the bridge was configured.
func TestTunnelsFollowHostNames(t *testing.T) {
	names := dnstest.Install(t)
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	require.NoError(t, err)
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	unresolved := types.NetAddress{ID: types.GenerateNodeKey().ID(), Hostname: "late.example", Port: port}
	resolved := types.NetAddress{ID: types.GenerateNodeKey().ID(), Hostname: "moves.example", IP: net.IPv4(127, 0, 0, 2), Port: port}
	otherPort := types.NetAddress{ID: types.GenerateNodeKey().ID(), Hostname: "other.example", Port: port - 1}
	w := newWorld(t, Config{Reach: func() []*types.NetAddress { return []*types.NetAddress{&unresolved, &resolved, &otherPort} }})
	s := asking(w.side, w.bridge.NetAddress())
	requireReason := func(want, host string) {
		t.Helper()
		conn, err := s.DialContext(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if want == "" {
			require.NoError(t, err)
			require.NoError(t, conn.Close())

			return
		}
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, reasons[want], refused.Reason)
	}
	requireReason("", "127.0.0.2")
	requireReason(reasonUnreachable, "127.0.0.1")
	require.Zero(t, names.Queries("other.example"))

	names.Set("late.example", net.IPv4(127, 0, 0, 1))
	names.Set("moves.example", net.IPv4(127, 0, 0, 3))
	requireReason("", "127.0.0.1")
	requireReason("", "127.0.0.3")
	requireReason("", "late.example")
	requireReason("", "moves.example")
	requireReason(reasonNotAllowed, "127.0.0.4")
	requireReason(reasonNotAllowed, "other.example")

	names.Set("late.example", net.IPv4(127, 0, 0, 4))
	requireReason("", "127.0.0.4")
	requireReason(reasonNotAllowed, "127.0.0.1")
}

// A node that has the host name of a native node in its configuration reaches it by that.
func TestNodeDialsAHostNameThroughATunnel(t *testing.T) {
	names, far := dnstest.Install(t), startNative(t, types.GenerateNodeKey(), nil)
	at := far.at
	at.IP, at.Hostname = nil, "native.example"
	w := newWorld(t, Config{Reach: reach(at)})
	names.Set("native.example", far.at.IP)
	require.Equal(t, far.key.ID(), w.node.join(t, at).ID())
	require.Equal(t, w.node.key.ID(), next(t, far.added).ID())
}
