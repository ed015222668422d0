package compattest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func initPeerPromises() []switchPromise {
	return []switchPromise{
		{"InitPeer/ReturnedPeerStays", testReturnedPeerStays},
		{"InitPeer/Chain", testInitPeerChain},
	}
}

func wrap(p compat.PeerConn) compat.PeerConn { return &wrappedPeer{PeerConn: p} }

func testReturnedPeerStays(t *testing.T, c *cluster) {
	a := c.started(t)
	var returned compat.PeerConn
	b := c.started(t, func(s *nodeSetup) {
		s.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
			returned = wrap(p)

			return returned
		}
	})
	_, atB := c.connect(t, a, b)
	require.Same(t, returned, atB, "Peers().Get")
	require.Len(t, b.Peers().List(), 1)
	require.Same(t, returned, b.Peers().List()[0], "Peers().List")
	c.exchange(t, a, b)
	b.StopPeerForError(atB, errTest)
	c.awaitApart(t, a, b)
	for _, w := range []what{addPeer, received, removePeer} {
		entries := b.log.kind(w)
		require.NotEmpty(t, entries, w)
		for _, e := range entries {
			require.Same(t, returned, e.peer, w)
		}
	}
}

// Each reactor's InitPeer gets the peer that the previous one returned.
func testInitPeerChain(t *testing.T, c *cluster) {
	a := c.started(t)
	b := c.started(t, func(s *nodeSetup) {
		s.reactor.onInit = wrap
		s.addReactor("second").onInit = wrap
		s.addReactor("third")
	})
	_, atB := c.connect(t, a, b)
	layers := 0
	for p := atB; ; layers++ {
		w, ok := p.(*wrappedPeer)
		if !ok {
			break
		}
		p = w.PeerConn
	}
	require.Equal(t, 2, layers, "the peer is wrapped by both reactors")
	for _, e := range b.log.kind(addPeer) {
		require.Same(t, atB, e.peer, "AddPeer of %s", e.by)
	}
	c.exchange(t, a, b)
}
