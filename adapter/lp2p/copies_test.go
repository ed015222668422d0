package lp2p

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// Two bridges with one key, at two hosts, are noticed by a node with which both have sessions.
// One bridge with several sessions is not.
func TestCopiesOfAKeyAreNoticed(t *testing.T) {
	const warning = "one node key is in use at two hosts"
	n, log := newLoggedNode(t, net.IPv4(127, 0, 0, 1))
	n.acceptLoop(t)
	key := types.GenerateNodeKey()
	from := func(ip net.IP) *Transport {
		tr, err := NewTransport(nodeInfo(key.ID()), *key, nil, WithTimeouts(patientTimeouts()), WithSockets(stacktest.SocketsFrom{IP: ip}))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, tr.Close()) })

		return tr
	}
	present := func(by *Transport) {
		as, _ := newIdentity()
		_, err := by.DialAs(timeout(t), n.NetAddress(), as, newBehavior())
		require.NoError(t, err)
	}
	one := from(net.IPv4(127, 0, 0, 2))
	present(one)
	present(one)
	require.Zero(t, log.Count(warning))
	present(from(net.IPv4(127, 0, 0, 3)))
	require.Eventually(t, func() bool { return log.Count(warning) == 1 }, patience, time.Millisecond)
	require.Equal(t, 1, log.Count(`hosts="[127.0.0.3 127.0.0.2]"`))
}
