package compattest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func panicPromises() []switchPromise {
	return []switchPromise{
		{"Panic/InitPeer", testPanicInInitPeer},
		{"Panic/AddPeer", testPanicInAddPeer},
		{"Panic/RemovePeer", testPanicInRemovePeer},
		{"Panic/Receive", testPanicInReceive},
	}
}

var errPanic = errors.New("panic of a test")

// panicNodes returns a node with three reactors, of which the first has the channels and
// one panics for the peer a. It also returns another peer of the node, which must not be
// affected.
func panicNodes(
	t *testing.T, c *cluster, arm func(first, second *recorder, panics func(compat.PeerConn)),
) (a, b, other *switchNode) {
	t.Helper()
	a, other = c.started(t), c.started(t)
	b = c.started(t, func(s *nodeSetup) {
		arm(s.reactor, s.addReactor("second"), func(p compat.PeerConn) {
			if p.ID() == a.id() {
				panic(errPanic)
			}
		})
		s.addReactor("third")
	})
	c.connect(t, other, b)

	return a, b, other
}

// requireUndisturbed checks that the panic has removed its peer and nothing else.
func requireUndisturbed(t *testing.T, c *cluster, a, b, other *switchNode) {
	t.Helper()
	require.False(t, b.Peers().Has(a.id()))
	require.Equal(t, 1, b.log.count(connected, other.id()))
	require.Zero(t, b.log.count(disconnected, other.id()))
	c.exchange(t, other, b)
	newcomer := c.started(t)
	c.connect(t, newcomer, b)
	c.exchange(t, newcomer, b)
	require.NoError(t, b.Stop())
	for _, name := range []string{"recorder", "third"} {
		require.Equal(t, calls(b, name, initPeer, a.id()), calls(b, name, removed, a.id()),
			"%s, which does not panic for the peer, is told of the removal", name)
	}
}

// calls counts the calls of a reactor about the peer.
func calls(n *switchNode, reactor string, w what, id types.ID) int {
	return len(n.log.all(func(e entry) bool { return e.by == reactor && e.what == w && e.id == id }))
}

func testPanicInInitPeer(t *testing.T, c *cluster) {
	a, b, other := panicNodes(t, c, func(_, second *recorder, panics func(compat.PeerConn)) {
		second.onInit = func(p compat.PeerConn) compat.PeerConn {
			panics(p)

			return p
		}
	})
	a.DialPeers(b.address())
	c.awaitRefused(t, a, b.id(), 1)
	requireUndisturbed(t, c, a, b, other)
	require.Zero(t, b.log.count(addPeer, a.id()))
	require.Zero(t, b.log.count(connected, a.id()))
}

func testPanicInAddPeer(t *testing.T, c *cluster) {
	a, b, other := panicNodes(t, c, func(_, r *recorder, panics func(compat.PeerConn)) { r.onAdd = panics })
	a.DialPeers(b.address())
	c.awaitRefused(t, a, b.id(), 1)
	c.awaitApart(t, a, b)
	requireUndisturbed(t, c, a, b, other)
}

func testPanicInRemovePeer(t *testing.T, c *cluster) {
	a, b, other := panicNodes(t, c, func(_, r *recorder, panics func(compat.PeerConn)) { r.onRemove = panics })
	c.connect(t, a, b)
	c.disconnect(t, b, a)
	requireUndisturbed(t, c, a, b, other)
	require.Equal(t, 1, b.log.count(disconnected, a.id()))
}

func testPanicInReceive(t *testing.T, c *cluster) {
	a, b, other := panicNodes(t, c, func(r, _ *recorder, panics func(compat.PeerConn)) {
		r.onReceive = func(_ byte, p compat.PeerConn, _ []byte) { panics(p) }
	})
	peer, _ := c.connect(t, a, b)
	require.True(t, peer.Send(ChannelA, []byte("x")))
	c.awaitApart(t, a, b)
	requireUndisturbed(t, c, a, b, other)
}
