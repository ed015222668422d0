package lp2p

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	idpb "github.com/libp2p/go-libp2p/p2p/protocol/identify/pb"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// newLogged returns a node at the IP, and its log.
func (n *memNet) newLogged(t *testing.T, ip net.IP) (*node, *stacktest.Log) {
	t.Helper()
	key, log := types.GenerateNodeKey(), &stacktest.Log{}
	info := nodeInfo(key.ID())
	tr, err := NewTransport(info, *key, slog.New(slog.NewTextHandler(log, nil)),
		withTCP(libp2p.Transport(n.transport(ip)), n.dial(ip)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(types.NetAddress{IP: ip, Port: memPort}))

	return &node{Transport: tr, behavior: newBehavior(), key: key, info: info}, log
}

// shiftRecord makes the node identify itself by a signed record whose time is shifted.
func (n *node) shiftRecord(t *testing.T, by time.Duration) {
	t.Helper()
	h := n.Host()
	h.SetStreamHandler(identify.ID, func(s network.Stream) {
		defer s.Close()
		signed, err := record.Seal(&peer.PeerRecord{
			PeerID: h.ID(), Addrs: h.Addrs(), Seq: uint64(time.Now().Add(by).UnixNano()),
		}, h.Peerstore().PrivKey(h.ID()))
		if err != nil {
			return
		}
		raw, err := signed.Marshal()
		if err != nil {
			return
		}
		body, err := proto.Marshal(&idpb.Identify{SignedPeerRecord: raw})
		if err != nil {
			return
		}
		_, _ = s.Write(wire.AppendSized(nil, body)) // the test sees what comes of it
	})
}

// A slow clock shows by peer records from the future, if peers of three networks have them.
// An old record shows nothing.
func TestSlowClockIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		n, log := memnet.newLogged(t, net.IPv4(8, 8, 8, 8))
		for i, by := range []time.Duration{6, -6, -600, 6, 6, 6} {
			from := memnet.newNode(t, net.IPv4(5, byte(i), 0, 1))
			from.shiftRecord(t, by*time.Minute)
			connect(t, from, n)
			synctest.Wait()
			require.Equal(t, i >= 4, log.Count("clock=slow") == 1, i)
		}
		require.Equal(t, 1, log.Count("clock of this node is wrong"), "once an hour")
	})
}

// A delegation shows in both directions by how much clocks differ, whether or not it is
// refused for that.
func TestWrongClockIsReportedByDelegations(t *testing.T) {
	for name, by := range map[string]time.Duration{"slow": 6 * time.Minute, "fast": -6 * time.Minute, "": 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			memnet := newMemNet()
			n, log := memnet.newLogged(t, net.IPv4(8, 8, 8, 8))
			for i := range 4 {
				from := memnet.newNode(t, net.IPv4(5, byte(i), 0, 1))
				from.shiftRecord(t, 0) // libp2p's would have the time of the process, outside the bubble
				as, e := delegated(from), control.NewEpoch()
				body, err := as.NodeInfo.MarshalBinary()
				require.NoError(t, err)
				hello := &control.Hello{Version: control.Version, Epoch: e, NodeInfo: body, Delegation: control.SignDelegation(
					as.Key, netip.Prefix{}, e, from.Host().ID(), n.Host().ID(), time.Now().Add(by+control.DelegationLife))}
				maddrs, err := from.dialMultiaddrs(timeout(t), n.NetAddress())
				require.NoError(t, err)
				c, err := from.dialPeer(timeout(t), n.Host().ID(), maddrs, from.retain)
				require.NoError(t, err)
				st, err := stream.Open(timeout(t), c, SessionProtocol)
				require.NoError(t, err)
				_, err = st.Write(control.Append(nil, hello))
				require.NoError(t, err)
				if name != "" {
					m, err := control.Read(st)
					require.NoError(t, err)
					require.Equal(t, compat.RejectIdentity, m.(*control.Reject).Code)
				}
				synctest.Wait()
				require.Equal(t, name != "" && i >= 2, log.Count("clock of this node is wrong") == 1, i)
				from.release(c)
			}
			if name != "" {
				require.Equal(t, 1, log.Count("clock="+name))
			}
		})
	}
}

// Peers that accept a delegation speak for the clock of this node, so that a few whose own clocks are
// wrong do not make it warn. They do not outvote what their networks have shown more exactly.
func TestAcceptedDelegationsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		n, log := memnet.newLogged(t, net.IPv4(8, 8, 8, 8))
		for i := range 3 {
			right := memnet.newNode(t, net.IPv4(5, byte(i), 0, 1))
			right.shiftRecord(t, 0) // see TestWrongClockIsReportedByDelegations
			dialAs(t, n, right, delegated(n))
		}
		for i := range 4 {
			wrong := memnet.newNode(t, net.IPv4(6, byte(i), 0, 1), WithClock(func() time.Time { return time.Now().Add(6 * time.Minute) }))
			wrong.shiftRecord(t, 0)
			_, err := n.DialAs(timeout(t), wrong.NetAddress(), delegated(n), n.behavior)
			require.ErrorContains(t, err, "6m0s")
			require.Equal(t, i == 3, log.Count("clock=slow") == 1, "the fourth of seven")
		}
	})

	c, now := newClock(slog.New(slog.DiscardHandler)), time.Now()
	in := netip.MustParsePrefix("5.1.0.0/16")
	c.note(in, 2*time.Minute, now)
	c.noteAcceptance(in, now)
	require.Equal(t, clockSlow, c.says[in].value)
	c.noteAcceptance(in, now.Add(voteLife))
	require.Equal(t, clockRight, c.says[in].value, "that was too long ago")
}

// Behind a relay, peers do not vote for its network.
func TestNetworkOfAVoter(t *testing.T) {
	const at = "/ip4/5.1.0.1/tcp/1"
	require.Equal(t, netip.MustParsePrefix("5.1.0.0/16"), voterAt(multiaddr.StringCast(at)))
	require.False(t, voterAt(multiaddr.StringCast(at+"/p2p-circuit")).IsValid())
}

// Only the last word of a network counts, for an hour, and others may disagree.
func TestVotes(t *testing.T) {
	v, now := make(votes[string]), time.Now()
	in := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{5, byte(i), 0, 0}), 16)
	}
	require.False(t, v.add(in(1), "a", now))
	require.False(t, v.add(in(1), "a", now), "one network")
	require.False(t, v.add(in(2), "a", now))
	require.True(t, v.add(in(3), "a", now))
	require.False(t, v.add(in(4), "b", now))
	require.False(t, v.add(in(5), "b", now))
	require.False(t, v.add(in(6), "b", now), "as many say something else")
	require.True(t, v.add(in(1), "b", now), "one has changed its mind")
	require.False(t, v.add(in(7), "b", now.Add(voteLife)), "the others are too old")
	for i := range 2 * maxVoters {
		v.add(in(i), "c", now.Add(voteLife))
	}
	require.Len(t, v, maxVoters)
}

// A vote may count for longer than an hour, and then for an hour more.
func TestVotesThatLast(t *testing.T) {
	v, now, connected := make(votes[string]), time.Now(), true
	for i := range minVoters {
		v.addWhile(netip.PrefixFrom(netip.AddrFrom4([4]byte{5, byte(i)}), 16), "a", now, func() bool { return connected })
	}
	agreed := func(after time.Duration) bool {
		value, ok := v.agreed(now.Add(after))

		return ok && value == "a"
	}
	require.True(t, agreed(10*voteLife))
	connected = false
	require.True(t, agreed(11*voteLife-1))
	require.False(t, agreed(11*voteLife))
	require.Empty(t, v)
}
