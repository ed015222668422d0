package pex_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
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
		book, err := pex.OpenAddrBook("", self)
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

// Whatever is in the file, opening it gives a book within its limits, which can be
// saved and is then read as it was.
func FuzzOpenAddrBook(f *testing.F) {
	f.Add([]byte(`{"peers":[{"addr":"` + idA + `@1.2.3.4:1","last_seen":1,"last_connected":2,"advertised":true,"failures":3}]}`))
	f.Add([]byte(`{"peers":[{"addr":"` + idA + `@[::1]:1","source":"` + idB + `","source_group":"1.2.0.0/16"},5,null]}`))
	f.Add([]byte(`{"peers":[{"addr":"` + idB + `@1.2.3.4:1"},{"addr":"` + idB + `@1.2.3.4:2"},{"addr":"` + idB + `@1.2.3.4:3"},` +
		`{"addr":"` + idB + `@1.2.3.4:4"}]}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(``))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(dir, "book")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		book, err := pex.OpenAddrBook(path, types.NetAddress{}, pex.WithMaxPeers(5))
		require.NoError(t, err)
		require.LessOrEqual(t, book.Size(), 5)
		kept, err := os.ReadFile(path + ".corrupt")
		if err == nil {
			require.Equal(t, content, kept)
			require.Zero(t, book.Size())
			require.NoError(t, os.Remove(path+".corrupt"))
		}
		addrs := book.Addresses()
		for _, addr := range addrs {
			require.NoError(t, addr.Validate())
		}
		book.MarkConnected(addrAt("1.2.3.4", 9999), true)
		require.NoError(t, book.Flush())
		again, err := pex.OpenAddrBook(path, types.NetAddress{}, pex.WithMaxPeers(5))
		require.NoError(t, err)
		require.ElementsMatch(t, texts(book.Addresses()), texts(again.Addresses()))
	})
}
