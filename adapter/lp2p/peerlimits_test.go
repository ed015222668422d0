package lp2p

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func TestPeerLimits(t *testing.T) {
	for _, dup := range []bool{false, true} {
		for _, n := range []uint64{0, 1, 10, 60, 1000, 1 << 63} {
			l := PeerLimits(n, n/4, dup)
			require.NoError(t, l.Validate(), "%d peers", n)
			in, out := int(min(n, maxPeers)), int(min(n/4, maxPeers))
			require.GreaterOrEqual(t, l.ConnectionsInbound, in+l.IdleConnections)
			require.GreaterOrEqual(t, l.Connections-l.ConnectionsInbound, out, "ours have places")
			require.GreaterOrEqual(t, l.ConnectionsHigh, in+out+l.IdleConnections)
			perIP := out + ipAllowance
			if dup {
				perIP += in
			}
			require.Equal(t, perIP, l.ConnectionsPerIP)
		}
	}
	require.ErrorContains(t, Limits{
		Handshakes: 1, HandshakesPerIP: 1, HandshakesPerPeer: 1, SessionsPerPeer: 1,
		Connections: 10, ConnectionsPerIP: 1, ConnectionsHigh: 11,
	}.Validate(), "ConnectionsHigh")
}

func TestChannelBudget(t *testing.T) {
	b := channelBudget([]*compat.ChannelDescriptor{
		{ID: 1, RecvMessageCapacity: 1000}, {ID: 2, RecvMessageCapacity: 1 << 20}, {ID: 3}, // 21 MiB
	})
	require.Equal(t, 7, b.streams)
	require.EqualValues(t, 0+(1<<20-streamWindow)+(maxStreamWindow-streamWindow), b.growth)
	require.Equal(t, 33, anyChannels().streams)
}

// network60 is a switch with room for 60 inbound peers, and 60 nodes at one IP that
// dial it at once.
type network60 struct {
	server *adapter.MultiplexSwitch
	node   *node
	nodes  []*node
	peers  []compat.PeerConn // of those that were let in
	errs   []error           // of the others
}

// silentReactor has the channels of the tests and does nothing.
type silentReactor struct{ compat.BaseReactor }

func newSilentReactor() *silentReactor {
	r := new(silentReactor)
	r.BaseReactor = *compat.NewBaseReactor("silent", r)

	return r
}

func (*silentReactor) GetChannels() []*compat.ChannelDescriptor { return newBehavior().descs }

func dial60(t *testing.T, allowDuplicateIP bool) *network60 {
	t.Helper()
	const peers = 60
	memnet := newMemNet()
	server := memnet.newNode(t, net.IPv4(10, 0, 0, 1),
		WithPeerLimits(peers, 10, allowDuplicateIP), WithChannels(newBehavior().descs...))
	n := &network60{node: server, server: adapter.NewMultiplexSwitch(server.Transport,
		adapter.WithMaxInboundPeers(peers), adapter.WithMaxOutboundPeers(10),
		adapter.WithAllowDuplicateIP(allowDuplicateIP), adapter.WithReactor("silent", newSilentReactor()))}
	require.NoError(t, n.server.Start())
	t.Cleanup(func() { require.NoError(t, n.server.Stop()) })

	var wg sync.WaitGroup
	dialed, errs := make([]compat.PeerConn, peers+1), make([]error, peers+1)
	for i := range dialed {
		client := memnet.newNodeAt(t, net.IPv4(10, 0, 0, 2), uint16(memPort+i))
		n.nodes = append(n.nodes, client)
		wg.Go(func() {
			if dialed[i], errs[i] = client.Dial(context.Background(), server.NetAddress(), client.behavior); errs[i] == nil {
				errs[i] = dialed[i].Start()
			}
		})
	}
	wg.Wait()
	synctest.Wait()
	for i, client := range n.nodes {
		// Two that compete for the last slot may both get an Accept. Then one of them is told
		// by a Goodbye that it has no slot.
		if errs[i] == nil && !dialed[i].IsRunning() {
			errs[i] = client.failure(t).err
		}
		if errs[i] != nil {
			n.errs = append(n.errs, errs[i])
		} else {
			n.peers = append(n.peers, dialed[i])
		}
	}

	return n
}

func TestManyPeersOfOneIP(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := dial60(t, true)
		require.Len(t, n.peers, 60)
		require.EqualValues(t, 60, n.server.Peers().NumInbound())
		require.Len(t, n.errs, 1)
		var reject *compat.RejectError
		require.ErrorAs(t, n.errs[0], &reject)
		require.Equal(t, compat.RejectFull, reject.Code)
		require.True(t, reject.Remote)

		for _, p := range n.peers {
			require.True(t, p.TrySend(chA, []byte("here")))
		}
	})
}

func TestOnePeerOfOneIP(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := dial60(t, false)
		require.Len(t, n.peers, 1)
		require.EqualValues(t, 1, n.server.Peers().NumInbound())
		refused, full := 0, false
		for _, err := range n.errs {
			var reject *compat.RejectError
			if errors.As(err, &reject) {
				require.True(t, reject.Remote)
				// Too many connections without a session get the whole IP refused.
				require.Contains(t, []compat.RejectCode{compat.RejectFull, compat.RejectBanned}, reject.Code)
				refused++
				full = full || reject.Code == compat.RejectFull
			}
		}
		require.True(t, full, "some were told")
		require.LessOrEqual(t, refused, PeerLimits(60, 10, false).ConnectionsPerIP)
		require.Len(t, n.node.Host().Network().Conns(), 1, "those of the others are closed")
	})
}

// Connections without a session count for the limit of their IP, also against its peers.
func TestConnectionsOfOneIP(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		limits := PeerLimits(60, 10, false)
		server := memnet.newNode(t, net.IPv4(10, 0, 0, 1), WithLimits(limits))
		held := 0
		for i := range 60 {
			client := memnet.newNodeAt(t, net.IPv4(10, 0, 0, 2), uint16(memPort+i))
			if client.holds(t, server) {
				held++
			}
			<-time.After(time.Second) // the rate is not what limits
		}
		require.Equal(t, limits.ConnectionsPerIP, held)
		require.True(t, memnet.newNode(t, net.IPv4(10, 0, 0, 3)).holds(t, server), "another IP")
	})
}

// holds opens a connection without a session, which lives as long as the test, and
// reports whether it was accepted.
func (n *node) holds(t testing.TB, to *node) bool {
	t.Helper()
	if !n.open(t, to) {
		return false
	}
	synctest.Wait()

	return n.Host().Network().Connectedness(to.Host().ID()) == network.Connected
}

// open opens a connection without a session, and reports whether the remote has accepted
// it, as it has when it answers on it.
func (n *node) open(t testing.TB, to *node) bool {
	t.Helper()
	maddrs, err := n.dialMultiaddrs(timeout(t), to.NetAddress())
	require.NoError(t, err)
	n.Host().Peerstore().AddAddrs(to.Host().ID(), maddrs, time.Hour)
	c, release, err := inner{n.Transport}.Connect(timeout(t), to.Host().ID())
	if err != nil {
		return false
	}
	t.Cleanup(release)
	s, err := stream.Open(timeout(t), c, NodeInfoProtocol)
	if err != nil {
		return false
	}
	defer func() { _ = s.Reset() }()
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		return false
	}
	info, err := stream.ReadNodeInfo(s)

	return err == nil && info.Validate() == nil && info.ID() == to.key.ID()
}

// A stranger has a few streams, and a peer as many more as its sessions may need.
func TestStreamsOfOnePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		desc := compat.ChannelDescriptor{ID: chA, Priority: 1}
		server := memnet.newNode(t, net.IPv4(10, 0, 0, 1), WithPeerLimits(1, 1, false), WithChannels(&desc))
		client := memnet.newNode(t, net.IPv4(10, 0, 0, 2))
		spare := server.opts.limits.HandshakesPerPeer + peerSpareStreams

		require.True(t, client.holds(t, server))
		stranger := client.Host().Network().ConnsToPeer(server.Host().ID())[0]
		require.Equal(t, spare, acceptedOf(t, server, stranger))
		require.NoError(t, stranger.Close())
		synctest.Wait()

		p, _ := connect(t, client, server)
		require.Equal(t, spare+1+len(server.info.Channels), acceptedOf(t, server, p.s.conn), "it may use all that the node promises")
	})
}

// acceptedOf opens many streams on the connection, without a protocol, and returns how many
// the node at its end keeps.
func acceptedOf(t *testing.T, n *node, c network.Conn) int {
	t.Helper()
	for range 4 * n.opts.streamLimits().spare {
		s, err := c.NewStream(timeout(t))
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Reset() })
	}
	synctest.Wait()
	theirs := n.Host().Network().ConnsToPeer(c.LocalPeer())
	require.Len(t, theirs, 1)

	return len(theirs[0].GetStreams())
}

// A dial that the limit on streams forbids is this node's failure, not the peer's.
func TestDialWithoutStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		server := memnet.newNode(t, net.IPv4(10, 0, 0, 1))
		client := memnet.newNode(t, net.IPv4(10, 0, 0, 2), WithPeerLimits(1, 1, false), WithChannels(newBehavior().descs...))
		require.True(t, client.holds(t, server))
		c := client.Host().Network().ConnsToPeer(server.Host().ID())[0]
		for {
			s, err := c.NewStream(timeout(t))
			if err != nil {
				require.ErrorIs(t, err, network.ErrResourceLimitExceeded)

				break
			}
			t.Cleanup(func() { _ = s.Reset() })
		}
		_, err := client.dial(t, server)
		require.ErrorIs(t, err, compat.ErrNoResources)
		require.Equal(t, compat.DialLocal, compat.ClassifyDial(err))
	})
}

// A dial above the connections that one IP may have is this node's failure, too.
func TestDialAboveTheConnectionsOfAnIP(t *testing.T) {
	o, err := newOptions([]Option{WithPeerLimits(1, 1, false)})
	require.NoError(t, err)
	resources, err := newResourceManager(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, resources.Close()) })
	at := multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")
	for range o.limits.ConnectionsPerIP {
		scope, err := resources.OpenConnection(network.DirOutbound, true, at)
		require.NoError(t, err)
		t.Cleanup(scope.Done)
	}
	_, err = resources.OpenConnection(network.DirOutbound, true, at)
	require.ErrorIs(t, forbidden(err), compat.ErrNoResources)
	require.ErrorContains(t, err, "connections per ip limit exceeded")
}

// The rate of connections is limited for one IP, and so for loopback when it is not
// exempt.
func TestConnectionRateOfOneIP(t *testing.T) {
	limits := PeerLimits(4, 0, false)
	limiter := newConnRateLimiter(limits.ConnectionsPerIP, true)
	for range 2 * limits.ConnectionsPerIP {
		require.True(t, limiter.Allow(loopbackAddr))
	}
	require.False(t, limiter.Allow(loopbackAddr))
	require.True(t, newConnRateLimiter(1, false).Allow(loopbackAddr))
}

// A node that trims its connections closes those without a session, and keeps all
// with one.
func TestTrimKeepsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		limits := DefaultLimits()
		limits.IdleConnections, limits.ConnectionsHigh = 2, 8
		server := memnet.newNode(t, net.IPv4(10, 0, 0, 1), WithLimits(limits))
		var peers []*Peer
		for i := range 5 {
			client := memnet.newNode(t, net.IPv4(10, 0, 1, byte(i)))
			_, p := connect(t, client, server)
			peers = append(peers, p)
		}
		for i := range 6 {
			require.True(t, memnet.newNode(t, net.IPv4(10, 0, 2, byte(i))).holds(t, server))
		}
		require.Len(t, server.Host().Network().Conns(), 11)

		<-time.After(connGracePeriod + 15*time.Second) // its own trim comes every 10 s
		synctest.Wait()
		conns := server.Host().Network().Conns()
		require.Len(t, conns, len(peers)+limits.IdleConnections)
		for _, p := range peers {
			require.True(t, p.IsRunning())
			require.Equal(t, network.Connected, server.Host().Network().Connectedness(p.PeerID()))
		}

		server.Host().ConnManager().TrimOpenConns(context.Background())
		synctest.Wait()
		require.Len(t, server.Host().Network().Conns(), len(peers)+limits.IdleConnections)
	})
}

var loopbackAddr = netip.MustParseAddr("127.0.0.1")
