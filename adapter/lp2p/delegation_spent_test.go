package lp2p

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// A delegation that was signed for one session opens no second one, not even when the first
// has ended: the listener remembers it while it is valid, and then it has expired.
func TestDelegationIsGoodForOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		dialer := memnet.newNode(t, net.IPv4(10, 0, 0, 1))
		n := memnet.newNode(t, net.IPv4(10, 0, 0, 2))
		n.acceptLoop(t)
		// The dialer replays its Hello.
		as, e := delegated(dialer), control.NewEpoch()
		body, err := as.NodeInfo.MarshalBinary()
		require.NoError(t, err)
		said := control.Append(nil, &control.Hello{Version: 1, Epoch: e, NodeInfo: body, Delegation: control.SignDelegation(
			as.Key, netip.Prefix{}, e, dialer.Host().ID(), n.Host().ID(), time.Now().Add(control.DelegationLife))})
		say := func() control.Message {
			maddrs, err := dialer.dialMultiaddrs(timeout(t), n.NetAddress())
			require.NoError(t, err)
			dialer.Host().Peerstore().AddAddrs(n.Host().ID(), maddrs, time.Hour)
			c, err := dialer.Host().Network().DialPeer(timeout(t), n.Host().ID())
			require.NoError(t, err)
			defer c.Close()
			s, err := stream.Open(timeout(t), c, SessionProtocol)
			require.NoError(t, err)
			_, err = s.Write(said)
			require.NoError(t, err)
			m, err := control.Read(s)
			require.NoError(t, err)
			synctest.Wait() // an accepted peer is started: only a running one reports its failure
			require.NoError(t, s.ResetWithError(network.StreamNoError))

			return m
		}
		require.IsType(t, &control.Accept{}, say())
		n.failure(t)
		synctest.Wait()
		require.Empty(t, n.sessions.entries, "the session is over")
		require.Equal(t, &control.Reject{Code: compat.RejectInvalid, Text: "delegated session has been before"}, say())

		<-time.After(control.DelegationLife + time.Second)
		refusal := say().(*control.Reject)
		require.Equal(t, compat.RejectIdentity, refusal.Code)
		require.Contains(t, refusal.Text, control.ErrDelegationExpired.Error())
	})
}

func TestSpentDelegationsAreBounded(t *testing.T) {
	s, now := newSpent(), time.Now()
	key := func(i int) sessionKey { return sessionKey{epoch: control.Epoch{byte(i), byte(i >> 8), byte(i >> 16)}} }
	for i := range maxSpent + 1 {
		s.add(key(i), now)
	}
	require.False(t, s.has(key(0)), "the oldest gives way")
	require.True(t, s.has(key(1)))
	require.Len(t, s.used, maxSpent)

	s.add(key(0), now.Add(control.MaxDelegationLife))
	require.True(t, s.has(key(2)), "as long as it may be valid")
	s.add(key(0), now.Add(control.MaxDelegationLife+time.Second))
	require.True(t, s.has(key(3)), "to the end of the second")
	s.add(key(1), now.Add(2*control.MaxDelegationLife))
	require.Len(t, s.used, 2)
	require.Len(t, s.order, 3)
}
