package discovery

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/access"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// An address counts as answered only where this node has dialed the peer. What the peer
// announces is kept as that, where it means the same at the peer's IP.
func TestFoundPeerIsKeptAsItWasFound(t *testing.T) {
	listen := func() *lp2p.Transport {
		lt := newTransport(t)
		require.NoError(t, lt.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))

		return lt
	}
	dialer, dialed := listen(), listen()
	hosts := peer.AddrInfo{ID: dialed.Host().ID(), Addrs: dialed.Host().Addrs()}
	require.NoError(t, dialer.Host().Connect(context.Background(), hosts))

	elsewhere, err := multiaddr.NewMultiaddr("/ip4/10.0.0.1/tcp/1")
	require.NoError(t, err)
	for side, other := range map[*lp2p.Transport]*lp2p.Transport{dialer: dialed, dialed: dialer} {
		d := newRemembering(t)
		d.t = access.Of(side)
		d.filter.private.Store(true)
		p, at := other.Host().ID(), other.NetAddress()
		side.Host().Peerstore().AddAddrs(p, append(other.Host().Addrs(), elsewhere), peerstore.PermanentAddrTTL)
		require.Eventually(t, func() bool { return d.connected(p) }, 10*time.Second, 10*time.Millisecond)

		require.Nil(t, side.AddrBook().Key(at.ID))
		found := d.noteFound(p)
		require.NotNil(t, side.AddrBook().Key(at.ID))
		require.Len(t, found, 1, "a private address says nothing to a node on loopback")
		require.Equal(t, at.String(), found[0].String())
		entries := side.AddrBook().Of(at.ID)
		require.Len(t, entries, 1)
		require.Equal(t, side == dialer, entries[0].HasAnswered())
		require.True(t, entries[0].Announced())
		if side == dialer {
			require.Equal(t, types.StackLibp2p, side.AddrBook().LastStack(at.ID))
		}
	}
}

// punched is a transport whose connections began at a relay.
type punched struct{ access.Transport }

func (punched) Met(network.Conn) bool { return true }

// The address of a connection that began at a relay is of no use to anybody else, nor to
// this node once the connection has ended. It is not kept.
func TestPunchedAddressesAreNotKept(t *testing.T) {
	for _, met := range []bool{false, true} {
		d, other := newEntering(t), listening(t)
		if met {
			d.t = punched{d.t}
		}
		p, id := other.Host().ID(), other.NetAddress().ID
		require.NoError(t, d.t.Host().Connect(t.Context(), peer.AddrInfo{ID: p, Addrs: other.Host().Addrs()}))
		d.t.Host().Peerstore().ClearAddrs(p) // it announces none
		for _, c := range d.t.Host().Network().ConnsToPeer(p) {
			d.noteConn(c)
		}
		d.noteFound(p)
		require.Equal(t, met, len(d.t.AddrBook().Of(id)) == 0)
		require.Equal(t, met, !d.answeredAt(p).IsValid())
	}
}
