package discovery

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
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
		require.Eventually(t, func() bool { return d.connected(p) }, time.Minute, 10*time.Millisecond)

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

// seenFrom is a transport whose only connection seems to come from elsewhere.
type seenFrom struct {
	access.Transport
	conn network.Conn
	at   string
	own  string // what the node announces, if anything
}

type seenHost struct {
	host.Host
	seenFrom
}

type seenNetwork struct {
	network.Network
	seenFrom
}

type seenConn struct {
	network.Conn
	at multiaddr.Multiaddr
}

func (s seenFrom) Host() host.Host          { return seenHost{s.Transport.Host(), s} }
func (h seenHost) Network() network.Network { return seenNetwork{h.Host.Network(), h.seenFrom} }
func (n seenNetwork) ConnsToPeer(peer.ID) []network.Conn {
	return []network.Conn{seenConn{n.conn, multiaddr.StringCast(n.at)}}
}
func (c seenConn) RemoteMultiaddr() multiaddr.Multiaddr { return c.at }
func (s seenFrom) NodeInfo() types.NodeInfo {
	info := s.Transport.NodeInfo()
	info.NetAddress = &types.NetAddress{ID: info.ID(), IP: net.ParseIP(s.own)}

	return info
}

// A peer behind the NAT of a container or a cloud seems to come from a private address. It
// may not send the switch around there, unless this node is in such a network itself, or the
// operator says so.
func TestFoundPeerMayNotTellPrivateAddresses(t *testing.T) {
	allow := true
	for _, c := range []struct {
		own    string
		option *bool
		kept   bool
	}{{"127.0.0.1", nil, false}, {"10.0.0.9", nil, true}, {"0.0.0.0", nil, true}, {"127.0.0.1", &allow, true}} {
		d, other := newUnstarted(t), listening(t)
		p, id := other.Host().ID(), other.NetAddress().ID
		require.NoError(t, other.Host().Connect(t.Context(), peer.AddrInfo{ID: d.t.Host().ID(), Addrs: d.t.Host().Addrs()}))
		require.Eventually(t, func() bool { return d.connected(p) }, time.Minute, 10*time.Millisecond)
		told := multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")
		d.t.Host().Peerstore().AddAddr(p, told, peerstore.PermanentAddrTTL)
		d.opts.privateAddresses = c.option
		d.t = seenFrom{d.t, d.t.Host().Network().ConnsToPeer(p)[0], "/ip4/10.0.0.2/tcp/2", c.own}

		d.noteFound(p)
		require.Equal(t, c.kept, len(d.t.AddrBook().Of(id)) == 1, "%+v", c)
	}
}

// punched is a transport whose connections began at a relay.
type punched struct{ access.Transport }

func (punched) Met(network.Conn) bool { return true }

// The address of a connection that began at a relay is of no use to anybody else, nor to
// this node once the connection has ended. It is not kept.
func TestPunchedAddressesAreNotKept(t *testing.T) {
	for _, met := range []bool{false, true} {
		d, other := newUnstarted(t), listening(t)
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
