package lp2p

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	autonatpb "github.com/libp2p/go-libp2p/p2p/protocol/autonatv2/pb"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// telling makes a node tell these addresses as its own.
func telling(addrs []multiaddr.Multiaddr) Option {
	return WithLibp2pOptions(libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return addrs }))
}

// requireUnreached checks that nothing was sent to any of the addresses.
func (n *internet) requireUnreached(t *testing.T, addrs []multiaddr.Multiaddr) {
	t.Helper()
	n.mtx.Lock()
	defer n.mtx.Unlock()
	for _, a := range addrs {
		require.False(t, n.reached[ipOf(a)], a)
	}
}

// What a peer has told over identify is not dialed after its connection has ended either.
func TestToldAddressesAreForgotten(t *testing.T) {
	inet := newInternet()
	a := inet.newNode(t, "1.2.0.2:4001", nil)
	b := inet.newNode(t, "1.2.0.3:4001", nil, telling(hostile(t)))
	identified, err := a.Host().EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	require.NoError(t, err)
	defer identified.Close()

	b.Host().Peerstore().AddAddrs(a.Host().ID(), a.Host().Addrs(), time.Minute)
	c, err := b.Host().Network().DialPeer(timeout(t), a.Host().ID())
	require.NoError(t, err)
	<-identified.Out()
	id := b.Host().ID()
	require.NotEmpty(t, a.Host().Peerstore().Addrs(id), "libp2p has taken what it was told")
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool { return len(a.Host().Peerstore().Addrs(id)) == 0 }, patience, time.Millisecond)

	_, _, err = inner{a.Transport}.Connect(timeout(t), id)
	require.Error(t, err)
	inet.requireUnreached(t, hostile(t))
}

// A peer that asks whether it is reached is dialed only where it may be.
func TestAutoNATDialsWhereThePeerMayBe(t *testing.T) {
	inet := newInternet()
	a := inet.newNode(t, "1.2.0.2:4001", nil, WithAutoNAT())
	b := inet.newNode(t, "1.2.0.3:4001", nil)
	b.Host().Peerstore().AddAddrs(a.Host().ID(), a.Host().Addrs(), time.Minute)
	ask := &autonatpb.DialRequest{Nonce: 1}
	for _, at := range hostile(t) {
		ask.Addrs = append(ask.Addrs, at.Bytes())
	}
	body, err := protobuf.Marshal(&autonatpb.Message{Msg: &autonatpb.Message_DialRequest{DialRequest: ask}})
	require.NoError(t, err)
	s, err := b.Host().NewStream(timeout(t), a.Host().ID(), autonatv2.DialProtocol)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.SetDeadline(time.Now().Add(patience)))
	_, err = s.Write(wire.AppendSized(nil, body))
	require.NoError(t, err)

	answer := new(autonatpb.Message)
	body, err = wire.ReadSized(s, 4096)
	require.NoError(t, err)
	require.NoError(t, protobuf.Unmarshal(body, answer))
	require.Equal(t, autonatpb.DialResponse_E_DIAL_REFUSED, answer.GetDialResponse().GetStatus())
	inet.requireUnreached(t, hostile(t))
}

// Of the relays that a peer has told, only public ones are dialed.
func TestToldRelaysArePublic(t *testing.T) {
	a, b, relay := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	public := multiaddr.StringCast("/ip4/1.2.3.4/udp/4001/quic-v1")
	circuits, err := circuitsThrough(peer.AddrInfo{ID: relay.Host().ID(), Addrs: append(hostile(t), public)})
	require.NoError(t, err)
	a.Host().Peerstore().AddAddrs(b.Host().ID(), circuits, time.Minute)
	relays := a.relaysOf(t.Context(), b.Host().ID(), b.NetAddress(), errConnLost)
	require.Equal(t, []peer.AddrInfo{{ID: relay.Host().ID(), Addrs: []multiaddr.Multiaddr{public}}}, relays)
}

// A host name that a remote tells is not looked up.
func TestToldHostNames(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	port := strconv.Itoa(int(b.NetAddress().Port))
	for _, name := range []string{"/dns4/localhost", "/dns/localhost"} {
		at, err := multiaddr.NewMultiaddr(name + "/tcp/" + port)
		require.NoError(t, err)
		a.Host().Peerstore().AddAddr(b.Host().ID(), at, time.Minute)
		_, err = a.Host().Network().DialPeer(timeout(t), b.Host().ID())
		require.Error(t, err)
	}
	require.Empty(t, b.Host().Network().Conns())

	// The resolver of the system knows it.
	ips, err := new(net.Resolver).LookupIP(context.Background(), "ip4", "localhost")
	require.NoError(t, err)
	require.NotEmpty(t, ips)
}
