package lp2p

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// Block refuses the node with the TM2 ID, until Unblock or as long as the transport lives:
// its connections are neither made nor accepted, and a session in which another node speaks
// for it is refused with compat.RejectBanned. Sessions of the node, and those in which it
// speaks for others, end with that code, and its streams of OpenStream and HandleStream end.
// Block returns ErrTooManyBlocked when 65536 IDs are blocked.
func (t *Transport) Block(id types.ID) error {
	if err := id.Validate(); err != nil {
		return fmt.Errorf("unable to block: %w", err)
	}
	id = id.Canonical()
	if err := block(t.gater, t.gater.ids, id); err != nil {
		return fmt.Errorf("unable to block %s: %w", id, err)
	}
	t.endBlocked()

	return nil
}

// Unblock undoes Block.
func (t *Transport) Unblock(id types.ID) { unblock(t.gater, t.gater.ids, id.Canonical()) }

// BlockIP is BlockSubnet for one IP address. A host with IPv6 usually has all addresses of
// a /64, which BlockSubnet blocks together.
func (t *Transport) BlockIP(ip net.IP) error { return t.blockPrefix(onlyIP(ip)) }

// UnblockIP undoes BlockIP.
func (t *Transport) UnblockIP(ip net.IP) { t.unblockPrefix(onlyIP(ip)) }

// BlockSubnet refuses connections from and to the IP addresses of a subnet, until
// UnblockSubnet or as long as the transport lives. Sessions on such connections end with
// compat.RejectBanned. A relayed connection has the address of its relay. BlockSubnet
// returns ErrTooManyBlocked when 65536 subnets are blocked.
func (t *Transport) BlockSubnet(subnet *net.IPNet) error { return t.blockPrefix(prefixOf(subnet)) }

// UnblockSubnet undoes BlockSubnet of the same subnet. Larger and smaller subnets that
// overlap with it stay blocked.
func (t *Transport) UnblockSubnet(subnet *net.IPNet) { t.unblockPrefix(prefixOf(subnet)) }

// Blocked returns the blocked IDs and subnets in ascending order; a single IP is a subnet.
func (t *Transport) Blocked() (ids []types.ID, subnets []netip.Prefix) {
	t.gater.mtx.RLock()
	defer t.gater.mtx.RUnlock()

	return slices.Sorted(maps.Keys(t.gater.ids)), slices.SortedFunc(maps.Keys(t.gater.subnets), netip.Prefix.Compare)
}

// blockPrefix takes the results of onlyIP or prefixOf.
func (t *Transport) blockPrefix(p netip.Prefix, err error) error {
	if err == nil {
		err = block(t.gater, t.gater.subnets, p)
	}
	if err != nil {
		return fmt.Errorf("unable to block %s: %w", p, err)
	}
	t.endBlocked()

	return nil
}

func (t *Transport) unblockPrefix(p netip.Prefix, err error) {
	if err == nil { // what is no subnet is not blocked
		unblock(t.gater, t.gater.subnets, p)
	}
}

func onlyIP(ip net.IP) (netip.Prefix, error) {
	addr := netgroup.FromIP(ip)
	if !addr.IsValid() {
		return netip.Prefix{}, fmt.Errorf("%v is not an IP address", ip)
	}

	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

func prefixOf(subnet *net.IPNet) (netip.Prefix, error) {
	if subnet == nil {
		return netip.Prefix{}, errors.New("subnet is nil")
	}
	addr := netgroup.FromIP(subnet.IP)
	ones, bits := subnet.Mask.Size()
	if !addr.IsValid() || bits != addr.BitLen() {
		return netip.Prefix{}, fmt.Errorf("%s is not a subnet", subnet)
	}

	return addr.Prefix(ones)
}

// endBlocked ends the sessions and other streams of what is blocked, and closes its connections without
// sessions. The others close after the last goodbye.
func (t *Transport) endBlocked() {
	if t.enter() != nil {
		return // everything ends
	}
	defer t.tasks.Done()

	t.sessions.mtx.Lock()
	active := t.sessions.active()
	t.sessions.mtx.Unlock()
	t.mtx.Lock()
	used := make(map[network.Conn]bool, len(t.conns))
	for c, ref := range t.conns {
		used[c] = ref.session && ref.refs > 0
	}
	opened := slices.Collect(maps.Keys(t.opened))
	t.mtx.Unlock()

	for _, s := range active {
		if t.gater.blockedConn(s.conn) || s.ofBlocked(t.gater) {
			s.fail(banned())
		}
	}
	t.resetBlocked(opened...)
	for _, c := range t.host.Network().Conns() {
		if t.gater.blockedConn(c) && !used[c] {
			if err := c.Close(); err != nil {
				t.logger.Debug("connection did not close cleanly", "peer", c.RemotePeer(), "err", err)
			}
		}
	}
}

// ofBlocked reports whether the session is that of a blocked node for which another one
// speaks. During the handshake the node is not known; Pending.answer checks it afterwards.
func (s *session) ofBlocked(g *gater) bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return s.peer != nil && g.blockedID(s.peer.ID())
}
