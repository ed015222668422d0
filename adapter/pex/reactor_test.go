package pex_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// newFakeNode returns a reactor that is not started, and knows the peers.
func newFakeNode(t *testing.T, peers ...compat.PeerConn) (*pex.Reactor, *addrbook.Book) {
	t.Helper()
	book := openBook(t, "")
	r := pex.NewReactor(book)
	r.SetSwitch(&fakeSwitch{peers: peers})
	for _, p := range peers {
		require.Equal(t, p, r.InitPeer(p))
	}

	return r, book
}

// Who gets no request for want of a place in the queue may not answer one.
func TestRequestThatWasNotTaken(t *testing.T) {
	peer := newFakePeer(addrAt("10.0.0.2", 2))
	peer.outbound, peer.full = true, true
	r, _ := newFakeNode(t, peer)
	r.AddPeer(peer)
	require.Empty(t, peer.sent)
	require.Zero(t, r.Stats().RequestsSent)
	r.Receive(pex.Channel, peer, response(addrAt("10.1.1.1", 1)))
	require.EqualValues(t, 1, r.Stats().ResponsesUnrequested)
	r.Receive(pex.Channel, peer, wire.AppendRequest(nil))
	require.Zero(t, r.Stats().ResponsesSent)
}

// A private peer is forgotten also when it was never added.
func TestPrivatePeerIsForgottenWhenRemoved(t *testing.T) {
	peer := newFakePeer(addrAt("10.0.0.2", 2))
	peer.outbound, peer.private = true, true
	r, book := newFakeNode(t, peer)
	book.MarkConnected(peer.info.NetAddress, true)
	r.RemovePeer(peer, nil)
	require.Zero(t, book.Size())
}

// The address of a delegated peer is that of the node that speaks for it.
func TestDelegatedPeerIsNotRemembered(t *testing.T) {
	peer := &delegatedPeer{fakePeer: newFakePeer(addrAt("10.0.0.2", 2))}
	peer.outbound = true
	r, book := newFakeNode(t, peer)
	peer.by = addrAt("10.0.0.2", 2).ID
	r.AddPeer(peer)
	require.Zero(t, book.Size())
	peer.by = ""
	r.AddPeer(peer)
	require.Equal(t, 1, book.Size())
}

type delegatedPeer struct {
	*fakePeer
	by types.ID
}

func (p *delegatedPeer) DelegatedBy() (types.ID, bool) { return p.by, p.by != "" }
func (p *delegatedPeer) SeenAt() netip.Prefix          { return netip.Prefix{} }

// Nobody is told of an address under an ID that was not proved.
func TestForeignIDIsNotTold(t *testing.T) {
	asker, liar := newFakePeer(addrAt("10.0.0.2", 2)), &wrongID{fakePeer: newFakePeer(addrAt("10.0.0.3", 3))}
	r, _ := newFakeNode(t, asker, liar)
	r.Receive(pex.Channel, asker, wire.AppendRequest(nil))
	require.Empty(t, asker.sent)
}

// wrongID shows an address with another ID than its own.
type wrongID struct{ *fakePeer }

func (*wrongID) ID() types.ID { return "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m" }

// The order of an answer says nothing of the order of the peers.
func TestAnswersAreShuffled(t *testing.T) {
	asker := newFakePeer(addrAt("10.0.0.2", 2))
	peers := []compat.PeerConn{asker, newFakePeer(addrAt("10.0.0.3", 3)), newFakePeer(addrAt("10.0.0.4", 4))}
	first := make(map[string]bool)
	for round := 0; len(first) < 2; round++ {
		require.Less(t, round, 200)
		r, _ := newFakeNode(t, peers...)
		r.Receive(pex.Channel, asker, wire.AppendRequest(nil))
		addrs, _, err := wire.DecodeDiscovery(asker.sent[round])
		require.NoError(t, err)
		require.Len(t, addrs, 2)
		first[addrs[0]] = true
	}
}

// A peer that the reactor has not prepared is none of its peers.
func TestUnknownPeerIsIgnored(t *testing.T) {
	peer := newFakePeer(addrAt("10.0.0.2", 2))
	r, _ := newFakeNode(t)
	r.Receive(pex.Channel, peer, []byte("junk"))
	require.Zero(t, r.Stats())
}
