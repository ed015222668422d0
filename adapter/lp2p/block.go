package lp2p

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// Block refuses the node with the TM2 ID from now on, for as long as the transport
// lives: its connections are neither made nor accepted, and a session in which
// another node speaks for it is refused with compat.RejectBanned. Sessions of it,
// and those in which it speaks for others, end with that code. At most 65536 IDs are
// blocked, then it returns ErrTooManyBlocked.
func (t *Transport) Block(id types.ID) error {
	if err := id.Validate(); err != nil {
		return fmt.Errorf("unable to block: %w", err)
	}
	id = id.Canonical()
	if err := t.gater.blockID(id); err != nil {
		return fmt.Errorf("unable to block %s: %w", id, err)
	}
	t.endBlocked()

	return nil
}

// Unblock undoes Block.
func (t *Transport) Unblock(id types.ID) { t.gater.unblockID(id.Canonical()) }

// BlockIP is BlockSubnet for one IP address. A host with IPv6 has all addresses of a
// /64: BlockSubnet of that keeps it out.
func (t *Transport) BlockIP(ip net.IP) error {
	p, err := onlyIP(ip)
	if err != nil {
		return err
	}

	return t.blockPrefix(p)
}

// UnblockIP undoes BlockIP.
func (t *Transport) UnblockIP(ip net.IP) {
	if p, err := onlyIP(ip); err == nil {
		t.gater.unblockSubnet(p)
	}
}

// BlockSubnet refuses connections from and to the IP addresses of a subnet from
// now on. Sessions on connections there end with compat.RejectBanned. A relayed
// connection has the address of its relay. At most 65536 subnets are blocked, then
// it returns ErrTooManyBlocked.
func (t *Transport) BlockSubnet(subnet *net.IPNet) error {
	p, err := prefixOf(subnet)
	if err != nil {
		return err
	}

	return t.blockPrefix(p)
}

// UnblockSubnet undoes BlockSubnet of the same subnet; one that it is part of, or
// that is part of it, stays blocked.
func (t *Transport) UnblockSubnet(subnet *net.IPNet) {
	if p, err := prefixOf(subnet); err == nil {
		t.gater.unblockSubnet(p)
	}
}

// Blocked returns what is blocked, in ascending order; a single IP is a subnet of
// its own.
func (t *Transport) Blocked() (ids []types.ID, subnets []netip.Prefix) {
	t.gater.mtx.RLock()
	defer t.gater.mtx.RUnlock()
	for id := range t.gater.ids {
		ids = append(ids, id)
	}
	for p := range t.gater.subnets {
		subnets = append(subnets, p)
	}
	slices.Sort(ids)
	slices.SortFunc(subnets, netip.Prefix.Compare)

	return ids, subnets
}

func (t *Transport) blockPrefix(p netip.Prefix) error {
	if err := t.gater.blockSubnet(p); err != nil {
		return fmt.Errorf("unable to block %s: %w", p, err)
	}
	t.endBlocked()

	return nil
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

// endBlocked ends the sessions of what is blocked, and closes its connections that
// carry none.
func (t *Transport) endBlocked() {
	if t.enter() != nil {
		return // everything ends
	}
	defer t.tasks.Done()

	t.sessions.mtx.Lock()
	ended := slices.DeleteFunc(t.sessions.active(), func(s *session) bool {
		return !t.gater.blockedConn(s.conn) && !s.ofBlocked(t.gater)
	})
	t.sessions.mtx.Unlock()
	t.mtx.Lock()
	used := make(map[network.Conn]bool, len(t.conns))
	for c, ref := range t.conns {
		used[c] = ref.session
	}
	t.mtx.Unlock()

	for _, s := range ended {
		s.closeConn(banned(), compat.RejectBanned)
	}
	for _, c := range t.host.Network().Conns() {
		// Those with sessions close after the last goodbye.
		if t.gater.blockedConn(c) && !used[c] {
			if err := c.Close(); err != nil {
				t.logger.Debug("connection did not close cleanly", "peer", c.RemotePeer(), "err", err)
			}
		}
	}
}

// ofBlocked reports whether the session is that of a blocked node for which another
// speaks. During the handshake it is not known; then the answer looks.
func (s *session) ofBlocked(g *gater) bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return s.peer != nil && g.blockedID(s.peer.ID())
}
