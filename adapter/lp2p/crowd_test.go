package lp2p

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
)

// serving is a reactor with the channels of the nodes.
type serving struct{ compat.BaseReactor }

func (*serving) GetChannels() []*compat.ChannelDescriptor { return newBehavior().descs }

// serve runs a switch on the node until the test ends.
func serve(t *testing.T, n *node, opts ...adapter.SwitchOption) (sw *adapter.MultiplexSwitch, next func() events.Event) {
	t.Helper()
	r := &serving{}
	r.BaseReactor = *compat.NewBaseReactor("serving", r)
	sw = adapter.NewMultiplexSwitch(n.Transport, append(opts, adapter.WithReactor("serving", r))...)
	evs, cancel := sw.Subscribe(nil)
	require.NoError(t, sw.Start())
	t.Cleanup(func() {
		require.NoError(t, sw.Stop())
		cancel()
	})

	return sw, func() events.Event {
		t.Helper()
		select {
		case e := <-evs:
			return e
		case <-timeout(t).Done():
			require.FailNow(t, "no event came")

			return nil
		}
	}
}

// When one network has all slots, a peer of another gets in, and the one that gives way is told
// why.
func TestCrowdedNetworkGivesWay(t *testing.T) {
	const slots = 4
	memnet, patient := newMemNet(), WithTimeouts(patientTimeouts())
	hub := memnet.newNode(t, net.IPv4(7, 1, 1, 1), patientGoodbye())
	sw, next := serve(t, hub, adapter.WithMaxInboundPeers(slots))
	var last *node
	for i := range slots {
		last = memnet.newNode(t, net.IPv4(9, 1, 1, byte(i+1)), patient)
		p, err := last.dial(t, hub)
		require.NoError(t, err)
		require.NoError(t, p.Start())
		require.Equal(t, events.PeerConnected, next().Type())
	}
	_, err := memnet.newNode(t, net.IPv4(9, 1, 1, 99), patient).dial(t, hub)
	requireRefused(t, err, compat.RejectFull)
	require.Equal(t, events.PeerRejected, next().Type())

	newcomer := memnet.newNode(t, net.IPv4(8, 1, 1, 1), patient)
	_, err = newcomer.dial(t, hub)
	require.NoError(t, err)
	requireRefused(t, last.failure(t).err, compat.RejectFull)
	require.Equal(t, last.key.ID(), next().(events.PeerDisconnectedEvent).PeerID)
	require.Equal(t, newcomer.key.ID(), next().(events.PeerConnectedEvent).PeerID)
	require.Len(t, sw.Peers().List(), slots)
}

// requireRefused checks that the remote refused the session or ended it for the reason.
func requireRefused(t *testing.T, err error, code compat.RejectCode) {
	t.Helper()
	var reject *compat.RejectError
	require.ErrorAs(t, err, &reject)
	require.Equal(t, code, reject.Code)
	require.True(t, reject.Remote)
}

// A host whose connections keep ending is refused before the handshake, whatever its keys.
func TestHostThatKeepsLeavingIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		hub := memnet.newNode(t, net.IPv4(7, 1, 1, 1))
		_, next := serve(t, hub)
		var port uint16
		visit := func(ip net.IP) error {
			port++
			n := memnet.newNodeAt(t, ip, port)
			p, err := n.dial(t, hub)
			if err != nil {
				return err
			}
			require.NoError(t, p.Start())
			require.Equal(t, events.PeerConnected, next().Type())
			require.NoError(t, n.Close())
			require.Equal(t, events.PeerDisconnected, next().Type())

			return nil
		}
		var sessions int
		for visit(net.IPv4(9, 1, 1, 1)) == nil {
			sessions++
			require.Less(t, sessions, 30) // each takes two connections, the first to learn the key
		}
		require.Greater(t, sessions, 3, "a few are free")
		require.NoError(t, visit(net.IPv4(9, 1, 1, 2)))
	})
}

// So is one whose sessions keep ending on a connection that stays open. Sessions beside each
// other cost nothing.
func TestSessionsThatKeepEndingAreCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		hub := memnet.newNode(t, net.IPv4(7, 1, 1, 1))
		_, next := serve(t, hub)
		r := memnet.newRaw(t, net.IPv4(9, 1, 1, 1))
		c := r.connect(hub)
		ctrl := r.open(c, false)
		m, err := r.say(ctrl, r.hello(control.NewEpoch()))
		for sessions := 1; ; sessions++ {
			require.NoError(t, err)
			require.IsType(t, &control.Accept{}, m)
			require.Equal(t, events.PeerConnected, next().Type())
			require.Less(t, sessions, 30)
			hello := control.Append(nil, r.hello(control.NewEpoch()))
			following := r.open(c, false) // keeps the connection
			_, err = following.Write(hello[:1])
			require.NoError(t, err)
			synctest.Wait()
			_, err = r.say(ctrl, &control.Goodbye{})
			require.NoError(t, err)
			require.NoError(t, ctrl.CloseWrite())
			require.Equal(t, events.PeerDisconnected, next().Type())
			if m, err = r.say(following, hello[1:]); err == nil && m.Kind() == control.KindReject {
				require.Equal(t, compat.RejectBanned, m.(*control.Reject).Code)
				require.Greater(t, sessions, 3, "a few are free")

				break
			}
			ctrl = following
		}
		require.Equal(t, events.PeerRejected, next().Type())
	})
}

// The nodes that a bridge presents at once are charged for nothing. One that keeps coming back is
// refused itself, while others come and go.
func TestBridgeIsNotChargedForOneOfItsNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		hub := memnet.newNode(t, net.IPv4(7, 1, 1, 1))
		_, next := serve(t, hub)
		bridge := memnet.newNode(t, net.IPv4(9, 1, 1, 1))
		host := byte(0)
		present := func(as Identity) (compat.PeerConn, error) {
			host++
			as.Host = netip.PrefixFrom(netip.AddrFrom4([4]byte{8, host, 1, 1}), 32)

			return bridge.DialAs(timeout(t), hub.NetAddress(), as, bridge.behavior)
		}
		for range 5 { // they stay, so the connection does
			p, err := present(delegated(bridge))
			require.NoError(t, err)
			require.NoError(t, p.Start())
			require.Equal(t, events.PeerConnected, next().Type())
		}
		visit := func(as Identity) error {
			p, err := present(as)
			if err != nil {
				return err
			}
			require.NoError(t, p.Start())
			require.Equal(t, events.PeerConnected, next().Type())
			require.NoError(t, p.Stop())
			require.Equal(t, events.PeerDisconnected, next().Type())

			return nil
		}
		flapping, visits := delegated(bridge), 0
		var err error
		for err = visit(flapping); err == nil; err = visit(flapping) {
			visits++
			require.Less(t, visits, 30)
		}
		requireRefused(t, err, compat.RejectBanned)
		require.Equal(t, events.PeerRejected, next().Type())
		require.Greater(t, visits, 3, "a few are free")
		for range 20 {
			require.NoError(t, visit(delegated(bridge)))
		}
	})
}
