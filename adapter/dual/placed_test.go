package dual_test

import (
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// The address at which libp2p peers of three networks have dialed a node is told to native peers
// too.
func TestNativePeersAreToldWhereTheNodeIs(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	var log stacktest.Log
	spec := loopbackSpec()
	spec.Info.NetAddress.IP = net.IPv4zero
	hub, err := dual.NewTransport(spec.Info, spec.Key, mconn.DefaultMConnConfig(), slog.New(slog.NewTextHandler(&log, nil)), patientDual()...)
	require.NoError(t, err)
	require.NoError(t, hub.Listen(types.NetAddress{IP: net.IPv4zero}))
	acceptAll(t, hub, newBehavior(), func(p compat.PeerConn) { _ = p.Start() }) // some of them may be gone
	addr := hub.NetAddress()
	addr.IP = net.ParseIP("8.8.8.8")
	told := func(kind, ip string) string {
		tr, err := atIP(kind, ip, loopbackSpec())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, tr.Close()) })
		p, err := tr.Dial(timeout(t), addr, newBehavior())
		require.NoError(t, err)
		require.NoError(t, p.Start())

		return p.NodeInfo().NetAddress.IP.String()
	}
	require.Equal(t, "0.0.0.0", told("native", "50.0.0.1"))
	for i := range 6 { // three have to agree, and the identify of one may be late on a busy machine
		told("libp2p", fmt.Sprintf("6%d.0.0.1", 1+i))
	}
	require.Eventually(t, func() bool { return log.Count("have dialed this node at an address") == 1 }, time.Minute, time.Millisecond)
	require.Equal(t, "8.8.8.8", told("native", "54.0.0.1"))
	require.Equal(t, "8.8.8.8", told("libp2p", "55.0.0.1"))
}
