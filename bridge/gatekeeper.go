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
	config  Config
	logger  *slog.Logger
	refused *summary.Log
	conduct *conduct.Book
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
)

func newGatekeeper(config Config, logger *slog.Logger, refused *summary.Log) *gatekeeper {
	return &gatekeeper{
		config: config, logger: logger, refused: refused, conduct: conduct.New(), hosts: make(map[types.ID]netip.Prefix),
		blocks:     config.blocklist().blocks,
		configured: func() []*types.NetAddress { return slices.Concat(config.NativePeers, config.Libp2pPeers) },
	}
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

// accountable returns the host if points count against it, and else none: the switch has the
// same exceptions.
func (g *gatekeeper) accountable(host netip.Prefix) netip.Prefix {
	if g.config.AllowDuplicateIP || netgroup.KindOf(host.Addr()) == netgroup.Loopback || g.isExemptHost(host) {
		return netip.Prefix{}
	}

	return host
}

// AdmitConn implements compat.ConnAdmission.
func (g *gatekeeper) AdmitConn(remoteIP net.IP) error {
	ip := netgroup.FromIP(remoteIP)
	if g.blocks("", ip) {
		return compat.Reject(compat.RejectBanned, "%v", errBlocked)
	}
	host := g.accountable(netgroup.Host(ip))
	g.charge("", host, conduct.ConnPoints, conduct.ErrManyConns)

	return g.conduct.Refusal("", host)
}

// judge returns why a node that has proved its ID is refused, or nil.
func (g *gatekeeper) judge(id types.ID, host netip.Prefix) error {
	if g.IsExemptPeer(id) {
		return nil
	}
	if err := g.conduct.Refusal(id, g.accountable(host)); err != nil {
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

// spare takes back what a connection has cost a native node that got no pair, or lost it, by no
// fault of its own: TM2 nodes dial again every few seconds. A libp2p node may have several
// sessions in one connection, and is told the reason.
func (g *gatekeeper) spare(p *pair) {
	if p.initiator == InitiatorNative {
		g.conduct.Refund(p.from, conduct.ConnPoints-conduct.RefusedPoints)
	}
}

// ended settles what the end of a pair says of the node that has dialed the bridge.
func (g *gatekeeper) ended(p *pair) {
	end := p.ending()
	switch node := p.dialed.other(); {
	case errors.Is(end.error, compat.ErrViolation): // see blame
	case time.Since(p.since) >= conduct.UsefulUptime:
		g.conduct.Pardon(p.from)
	case end.by != node && !end.replaced():
		g.spare(p)
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
	g.charge(p.id, g.accountable(p.from), conduct.ViolationPoints, reason)
}

func (g *gatekeeper) charge(id types.ID, host netip.Prefix, points float64, reason error) {
	if wait := g.conduct.Charge(id, host, points, reason); wait > 0 {
		g.refused.Event(slog.LevelWarn, host.Addr(), "node is refused for a while", "conduct",
			"peer", id, "host", netgroup.Name(host), "for", wait, "err", reason)
	}
}
