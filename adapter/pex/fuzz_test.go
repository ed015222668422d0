package pex_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Whatever a peer sends is counted as one thing, leads to dials of valid addresses
// only, and is answered with a valid response or not at all.
func FuzzReceive(f *testing.F) {
	for _, v := range loadVectors(f) {
		f.Add(v)
	}
	for _, c := range loadMalformed(f) {
		f.Add([]byte(c.Input))
	}
	for _, msg := range invalidMessages() {
		if len(msg) < 1<<16 {
			f.Add(msg)
		}
	}
	self := *addrAt("10.0.0.1", 1)
	f.Fuzz(func(t *testing.T, msg []byte) {
		book, err := addrbook.Open("", self)
		require.NoError(t, err)
		peer, other := newFakePeer(addrAt("10.0.0.2", 2)), newFakePeer(addrAt("10.0.0.3", 3))
		peer.outbound = true
		sw := &fakeSwitch{peers: []compat.PeerConn{peer, other}}
		r := pex.NewReactor(book)
		r.SetSwitch(sw)
		r.InitPeer(peer)
		r.AddPeer(peer)
		require.Len(t, peer.sent, 1)
		before := bytes.Clone(msg)
		r.Receive(pex.Channel, peer, msg)
		require.Equal(t, before, msg)

		s := r.Stats()
		require.EqualValues(t, 1, s.Invalid+s.ResponsesReceived+s.RequestsReceived)
		require.LessOrEqual(t, s.AddressesReceived, uint64(30))
		require.LessOrEqual(t, uint64(len(sw.dialed())), s.AddressesReceived)
		for _, addr := range sw.dialed() {
			require.NoError(t, addr.Validate())
			require.NotZero(t, addr.Port)
			require.NotEqual(t, self.ID, addr.ID)
		}
		require.LessOrEqual(t, book.Size(), 1+30)
		if s.RequestsReceived == 0 {
			require.Len(t, peer.sent, 1)

			return
		}
		addrs, request, err := wire.DecodeDiscovery(peer.sent[1])
		require.NoError(t, err)
		require.False(t, request)
		require.Equal(t, []string{other.info.NetAddress.String()}, addrs)
	})
}
