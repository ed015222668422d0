package adapter

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// newNodeAt makes a node with an IP and port of the test's choice.
func newNodeAt(t *testing.T, network *memory.Network, ip net.IP, port uint16, opts ...SwitchOption) *node {
	t.Helper()
	info := network.NewNodeInfo(chA, chB)
	info.NetAddress.IP, info.NetAddress.Port = ip, port
	tr, err := network.NewTransportFor(info)
	require.NoError(t, err)

	return newNodeOn(t, tr, nil, opts...)
}

var sharedIP = net.IPv4(10, 100, 0, 1)

// refusals subscribes to the rejections of a node.
func refusals(n *node) (<-chan events.Event, func()) {
	return n.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerRejected })
}

// requireGuarded checks that there was one refusal, by the guard, of the peer.
func requireGuarded(t *testing.T, evs []events.Event, peer types.ID, host string) {
	t.Helper()
	require.Len(t, evs, 1)
	refusal := evs[0].(events.PeerRejectedEvent)
	require.Equal(t, peer, refusal.PeerID)
	require.False(t, refusal.Outbound)
	requireCode(t, compat.RejectFull, refusal.Reason)
	for _, part := range []string{host, "allow_duplicate_ip", "unconditional_peer_ids"} {
		require.ErrorContains(t, refusal.Reason, part)
	}
}

func TestOnePeerOfAnIP(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		hub := newNode(t, network)
		a, b := newNodeAt(t, network, sharedIP, 1), newNodeAt(t, network, sharedIP, 2)
		elsewhere := newNode(t, network)
		prepare(hub, a, b, elsewhere)
		evs, cancel := refusals(hub)
		defer cancel()
		defer start(t, hub, a, b, elsewhere)()
		connect(t, a, hub)
		b.DialPeers(hub.addr())
		synctest.Wait()
		requireGuarded(t, collect(evs), b.id(), sharedIP.String())
		require.Empty(t, b.Peers().List())
		require.Zero(t, b.tr.NumPeers())
		require.Equal(t, 1, hub.reactor.count("init"), "the guard decides before InitPeer")
		connect(t, elsewhere, hub)

		hub.StopPeerForError(hub.Peers().Get(a.id()), nil)
		synctest.Wait()
		connect(t, b, hub)
		a.DialPeers(hub.addr())
		synctest.Wait()
		requireGuarded(t, collect(evs), a.id(), sharedIP.String())
	})
}

func TestDuplicateIPAllowed(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		hub := newNode(t, network, WithAllowDuplicateIP(true))
		a, b := newNodeAt(t, network, sharedIP, 1), newNodeAt(t, network, sharedIP, 2)
		prepare(hub, a, b)
		defer start(t, hub, a, b)()
		connect(t, a, hub)
		connect(t, b, hub)
	})
}

// Peers that we dial are admitted, and count against those that dial us.
func TestGuardOfInboundPeersOnly(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		hub := newNode(t, network)
		a, b, c := newNodeAt(t, network, sharedIP, 1), newNodeAt(t, network, sharedIP, 2), newNodeAt(t, network, sharedIP, 3)
		prepare(hub, a, b, c)
		evs, cancel := refusals(hub)
		defer cancel()
		defer start(t, hub, a, b, c)()
		connect(t, hub, a)
		connect(t, hub, b)
		c.DialPeers(hub.addr())
		synctest.Wait()
		requireGuarded(t, collect(evs), c.id(), sharedIP.String())
	})
}

func TestExemptPeersShareAnIP(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		a, b, c := newNodeAt(t, network, sharedIP, 1), newNodeAt(t, network, sharedIP, 2), newNodeAt(t, network, sharedIP, 3)
		d := newNodeAt(t, network, sharedIP, 4)
		// The persistent peer is not found where it is configured: it dials.
		moved := *b.addr()
		moved.IP = net.IPv4(10, 100, 0, 9)
		hub := newNode(t, network, WithPersistentPeers([]*types.NetAddress{&moved}), WithUnconditionalPeers([]types.ID{c.id()}))
		prepare(a, b, c, d, hub)
		evs, cancel := refusals(hub)
		defer cancel()
		defer start(t, a, b, c, d, hub)()
		connect(t, a, hub)
		connect(t, b, hub)
		connect(t, c, hub)
		require.Empty(t, collect(evs))

		hub.StopPeerForError(hub.Peers().Get(a.id()), nil)
		synctest.Wait()
		d.DialPeers(hub.addr())
		synctest.Wait()
		requireGuarded(t, collect(evs), d.id(), sharedIP.String())
	})
}

// The holder of an IPv6 network has all its addresses.
func TestGuardCountsIPv6Networks(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		hub := newNode(t, network)
		a := newNodeAt(t, network, net.ParseIP("2001:db8:0:1::1"), 1)
		same := newNodeAt(t, network, net.ParseIP("2001:db8:0:1:ffff::1"), 1)
		next := newNodeAt(t, network, net.ParseIP("2001:db8:0:2::1"), 1)
		prepare(hub, a, same, next)
		evs, cancel := refusals(hub)
		defer cancel()
		defer start(t, hub, a, same, next)()
		connect(t, a, hub)
		connect(t, next, hub)
		same.DialPeers(hub.addr())
		synctest.Wait()
		requireGuarded(t, collect(evs), same.id(), "2001:db8:0:1::/64")
	})
}

// An IPv6 address that embeds an IPv4 address is that host's.
func TestGuardCountsEmbeddedAddresses(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		hub := newNode(t, network)
		a := newNodeAt(t, network, net.ParseIP("8.8.8.8"), 1)
		same := newNodeAt(t, network, net.ParseIP("2002:808:808::1"), 1)
		prepare(hub, a, same)
		evs, cancel := refusals(hub)
		defer cancel()
		defer start(t, hub, a, same)()
		connect(t, a, hub)
		same.DialPeers(hub.addr())
		synctest.Wait()
		requireGuarded(t, collect(evs), same.id(), "8.8.8.8")
	})
}

// An inbound peer does not make the switch dial the address that it names.
func TestAddressOfAnInboundPeerIsNotDialed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub := newDialingNode(t, network)
		defer start(t, hub.node)()
		for _, ip := range []string{
			"127.0.0.1", "169.254.169.254", "100.100.100.200", "198.18.0.1", "240.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "fec0::1",
		} {
			peer := newNodeAt(t, network, net.ParseIP(ip), 26656)
			stop := start(t, peer)
			connect(t, peer, hub.node)
			stop()
			synctest.Wait()
		}
		pass(DefaultDialTimeout)
		require.Empty(t, hub.addresses())
	})
}

// All dial at once, and none is in the set yet when the next asks.
func TestGuardHoldsForManyAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		const dialers = 20
		network := memory.NewNetwork()
		hub := newNode(t, network)
		leave := make(chan struct{})
		hub.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { <-leave; return p }
		nodes := []*node{hub}
		for i := range dialers {
			nodes = append(nodes, newNodeAt(t, network, sharedIP, uint16(i+1)))
		}
		prepare(nodes...)
		evs, cancel := refusals(hub)
		defer cancel()
		defer start(t, nodes...)()
		for _, n := range nodes[1:] {
			n.DialPeers(hub.addr())
		}
		synctest.Wait()
		require.Equal(t, 1, hub.reactor.count("init"))
		require.Len(t, collect(evs), dialers-1, "one event for each refusal")
		close(leave)
		synctest.Wait()
		require.Len(t, hub.Peers().List(), 1)
		require.Equal(t, 1, hub.tr.NumPeers())
	})
}

// disguise makes accepted peers look as a test wants them.
type disguise struct {
	*memory.Transport
	put func(compat.PeerConn) compat.PeerConn
	off func(compat.PeerConn) compat.PeerConn
}

func (d *disguise) Accept(ctx context.Context, b compat.PeerBehavior) (compat.PeerConn, error) {
	conn, err := d.Transport.Accept(ctx, b)
	if err != nil {
		return nil, err
	}

	return d.put(conn), nil
}

func (d *disguise) Remove(peer compat.PeerConn) { d.Transport.Remove(d.off(peer)) }

type nowhere struct{ compat.PeerConn }

func (*nowhere) RemoteIP() net.IP { return nil }

func TestUnknownIPIsNotGuarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		tr := network.NewTransport(chA, chB)
		tr.SkipAdmission()
		hub := newNodeOn(t, tr, func(tr *memory.Transport) compat.Transport {
			return &disguise{
				Transport: tr,
				put:       func(p compat.PeerConn) compat.PeerConn { return &nowhere{p} },
				off:       func(p compat.PeerConn) compat.PeerConn { return p.(*nowhere).PeerConn },
			}
		})
		a, b := newNodeAt(t, network, sharedIP, 1), newNodeAt(t, network, sharedIP, 2)
		defer start(t, hub, a, b)()
		connect(t, a, hub)
		connect(t, b, hub)
		require.NoError(t, hub.behavior.AdmitConn(nil))
		require.NoError(t, hub.behavior.AdmitPeer(
			compat.ConnInfo{SocketAddr: network.NewNodeInfo().NetAddress}, types.NodeInfo{}))
	})
}

// delegated is a peer that another node speaks for.
type delegated struct {
	compat.PeerConn
	by   types.ID
	seen netip.Prefix
}

func (d *delegated) DelegatedBy() (types.ID, bool) { return d.by, d.by != "" }
func (d *delegated) SeenAt() netip.Prefix          { return d.seen }

// A bridge presents many peers from its own IP. They are admitted beside each other if
// the bridge itself is exempt, but each needs a slot.
func TestDelegatedPeersShareTheIPOfAnExemptDelegate(t *testing.T) {
	for name, c := range map[string]struct {
		opt  func(bridge *types.NetAddress) SwitchOption
		free bool
	}{
		"unconditional": {func(b *types.NetAddress) SwitchOption { return WithUnconditionalPeers([]types.ID{b.ID}) }, true},
		"persistent":    {func(b *types.NetAddress) SwitchOption { return WithPersistentPeers([]*types.NetAddress{b}) }, true},
		"any node":      {func(*types.NetAddress) SwitchOption { return WithMaxInboundPeers(2) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				bridge := network.NewNodeInfo().NetAddress
				tr := network.NewTransport(chA, chB)
				tr.SkipAdmission()
				hub := newNodeOn(t, tr, func(tr *memory.Transport) compat.Transport {
					return &disguise{
						Transport: tr,
						put:       func(p compat.PeerConn) compat.PeerConn { return &delegated{PeerConn: p, by: bridge.ID} },
						off:       func(p compat.PeerConn) compat.PeerConn { return p.(*delegated).PeerConn },
					}
				}, c.opt(bridge), WithMaxInboundPeers(2))
				a, b, d := newNodeAt(t, network, sharedIP, 1), newNodeAt(t, network, sharedIP, 2), newNodeAt(t, network, sharedIP, 3)
				evs, cancel := refusals(hub)
				defer cancel()
				defer start(t, hub, a, b, d)()
				connect(t, a, hub)
				ask := func(by types.ID) error {
					return hub.behavior.AdmitPeer(
						compat.ConnInfo{SocketAddr: b.addr(), RemoteIP: sharedIP, DelegatedBy: by}, types.NodeInfo{})
				}
				requireCode(t, compat.RejectFull, ask(""))
				requireCode(t, compat.RejectFull, ask(a.id()))
				require.Len(t, collect(evs), 2)
				if !c.free {
					requireCode(t, compat.RejectFull, ask(bridge.ID))
					b.DialPeers(hub.addr())
					synctest.Wait()
					got := collect(evs)
					requireGuarded(t, got[:1], b.id(), sharedIP.String())
					requireGuarded(t, got[1:], b.id(), sharedIP.String())

					return
				}
				require.NoError(t, ask(bridge.ID))
				connect(t, b, hub)
				d.DialPeers(hub.addr())
				synctest.Wait()
				got := collect(evs)
				require.Len(t, got, 1)
				require.ErrorContains(t, got[0].(events.PeerRejectedEvent).Reason, "all 2 inbound slots")
			})
		})
	}
}
