package bridge

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

var errConduct = errors.New("the node or its host is refused for a while")

// gatekeeper decides about inbound connections of both sides before their handshakes, and
// remembers how nodes have behaved, as the switch of a node does. All methods may be called
// concurrently.
type gatekeeper struct {
	config Config
	logger *slog.Logger
	keeper conduct.Keeper
	// What an operator may change while the bridge runs:
	blocks     func(types.ID, netip.Addr) bool
	configured func() []*types.NetAddress // of either side

	mtx   sync.Mutex
	hosts map[types.ID]netip.Prefix // from where exempt nodes had their last pair
}

var (
	_ compat.ConnAdmission   = (*gatekeeper)(nil)
	_ compat.ConnReservation = (*gatekeeper)(nil)
	_ compat.PeerExemption   = (*gatekeeper)(nil)
	_ tunnel.Judge           = (*gatekeeper)(nil)
)

func newGatekeeper(config Config, logger *slog.Logger, refused *summary.Log) *gatekeeper {
	g := &gatekeeper{
		config: config, logger: logger, hosts: make(map[types.ID]netip.Prefix),
		blocks:     config.blocklist().blocks,
		configured: func() []*types.NetAddress { return slices.Concat(config.NativePeers, config.Libp2pPeers) },
	}
	g.keeper = conduct.Keeper{
		Book: conduct.New(), AllowDuplicateIP: config.AllowDuplicateIP, IsExemptHost: g.isExemptHost, Log: refused,
	}

	return g
}

// IsExemptPeer implements compat.PeerExemption.
func (g *gatekeeper) IsExemptPeer(id types.ID) bool {
	return slices.Contains(g.config.UnconditionalPeers, id) ||
		slices.ContainsFunc(g.configured(), func(addr *types.NetAddress) bool { return addr.ID == id })
}

// ReservesConn implements compat.ConnReservation.
func (g *gatekeeper) ReservesConn(remoteIP net.IP) bool {
	return g.isExemptHost(netgroup.Host(netgroup.FromIP(remoteIP)))
}

// isExemptHost reports whether a configured node has its address at the host, or had its last
// pair from there.
func (g *gatekeeper) isExemptHost(host netip.Prefix) bool {
	if !host.IsValid() {
		return false
	}
	if slices.ContainsFunc(g.configured(), func(addr *types.NetAddress) bool { return netgroup.Host(netgroup.FromIP(addr.IP)) == host }) {
		return true
	}
	g.mtx.Lock()
	defer g.mtx.Unlock()
	for id, known := range g.hosts {
		if known == host && g.IsExemptPeer(id) {
			return true
		}
	}

	return false
}

// AdmitConn implements compat.ConnAdmission.
func (g *gatekeeper) AdmitConn(remoteIP net.IP) error {
	ip := netgroup.FromIP(remoteIP)
	if g.blocks("", ip) {
		return compat.Reject(compat.RejectBanned, "%v", errBlocked)
	}

	return g.keeper.ChargeConn(g.keeper.Accountable(netgroup.Host(ip)), conduct.ConnPoints)
}

// judge returns why a node that has proved its ID is refused, or nil.
func (g *gatekeeper) judge(id types.ID, host netip.Prefix) error {
	if g.IsExemptPeer(id) {
		return nil
	}
	if err := g.keeper.Refusal(id, g.keeper.Accountable(host)); err != nil {
		return fmt.Errorf("%w: %w", errConduct, err)
	}

	return nil
}

// met notes that a node has a pair.
func (g *gatekeeper) met(id types.ID, host netip.Prefix) {
	if !g.IsExemptPeer(id) {
		return
	}
	g.mtx.Lock()
	defer g.mtx.Unlock()
	g.hosts[id] = host
}

// spare takes back what a connection has cost a native node that got no pair, or that the bridge
// has taken it from: TM2 nodes dial again every few seconds. A libp2p node may have several
// sessions in one connection, and is told the reason.
func (g *gatekeeper) spare(p *pair) {
	if p.initiator == InitiatorNative {
		g.keeper.Refund(p.from, conduct.ConnPoints-conduct.RefusedPoints)
	}
}

// TunnelEnded implements tunnel.Judge. The bridge cannot see what passes in a tunnel, but whether
// the native node has left again at once, as one that costs the target something does. An end by the
// target costs a tenth, unlike that of a pair: the bridge cannot see whether the target is only full,
// and the target itself charges the node's host.
func (g *gatekeeper) TunnelEnded(host netip.Prefix, lasted time.Duration, byNode bool) {
	switch {
	case lasted >= conduct.UsefulUptime:
		g.keeper.Pardon(host)
	case lasted == 0 || !byNode:
		g.keeper.Refund(host, conduct.ConnPoints-conduct.RefusedPoints)
	}
}

// ended settles what the end of a pair says of the node that has dialed the bridge. A pair that a
// configured target has ended costs the node a connection: it can have the target do that. It cannot
// have the target be full or shut down. A target that was not configured may belong to anybody, and
// end pairs so that its nodes pay for them.
func (g *gatekeeper) ended(p *pair) {
	end := p.ending()
	switch node := p.dialed.other(); {
	case errors.Is(end.error, compat.ErrViolation): // see blame
	case time.Since(p.since) >= conduct.UsefulUptime:
		g.keeper.Pardon(p.from)
	case end.by != node && !end.replaced():
		if end.by == nil || !p.isUp() || !p.target.configured || refusesAll(compat.ClassifyDial(end.error)) {
			g.spare(p)
		}
	case p.initiator == InitiatorLibp2p && !g.IsExemptPeer(p.id):
		// Its connection is charged once, and it may open sessions in it as often as it likes.
		g.keeper.Blame(p.id, netip.Prefix{}, p.from.Addr(), conduct.ConnPoints, conduct.ErrManyConns)
	}
}

// blame refuses the node that has dialed the bridge if the failure of its side is that it broke
// the protocol. A configured one is only reported.
func (g *gatekeeper) blame(s *side, reason error) {
	p := s.pair
	if s == p.dialed || !errors.Is(reason, compat.ErrViolation) {
		return
	}
	if g.IsExemptPeer(p.id) {
		g.logger.Warn("configured peer misbehaves", "peer", p.id, "err", reason)

		return
	}
	g.keeper.Blame(p.id, g.keeper.Accountable(p.from), p.from.Addr(), conduct.ViolationPoints, reason)
}
