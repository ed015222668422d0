package native

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// The node's own host name need not resolve at start, and may lead elsewhere later. The
// peers of later connections are told.
func TestOwnHostNameIsFollowed(t *testing.T) {
	names := dnstest.Install(t)
	key := types.GenerateNodeKey()
	info := nodeInfo(key.ID(), "net")
	info.NetAddress = &types.NetAddress{ID: key.ID(), IP: net.IPv4zero, Hostname: "own.example"}
	mt := NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil, WithNameInterval(10*time.Millisecond),
		WithHandshakeTimeout(testTimeout))
	t.Cleanup(func() { require.NoError(t, mt.Close()) })
	require.NoError(t, mt.Listen(loopback()))
	dialer := newTransport(t, "net")
	told := func() string {
		out, in := connect(t, dialer, mt, newBehavior(), newBehavior())
		defer mt.Remove(in)
		defer dialer.Remove(out)

		return out.NodeInfo().NetAddress.IP.String()
	}
	require.Equal(t, "0.0.0.0", told())
	for _, ip := range []net.IP{net.IPv4(5, 6, 7, 8), net.IPv4(5, 6, 7, 9)} {
		names.Set("own.example", ip)
		require.Eventually(t, func() bool { return mt.localNodeInfo().NetAddress.IP.Equal(ip) }, testTimeout, time.Millisecond)
		require.Equal(t, ip.String(), told())
	}
	require.Equal(t, mt.NetAddress().Port, mt.localNodeInfo().NetAddress.Port)
}
