package lp2p

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"syscall"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/guard"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

// MaxBlocked bounds the IDs that Block takes, and likewise the subnets of BlockSubnet.
const MaxBlocked = 1 << 16

// ErrTooManyBlocked is returned when a list of what is blocked is full.
var ErrTooManyBlocked = errors.New("too many are blocked already")

// gater is libp2p's connection gater. It refuses connections of blocked nodes and subnets,
// and dials to addresses that only a remote has named. Unlike libp2p's own gater it is
// bounded and knows TM2 IDs.
type gater struct {
	mtx     sync.RWMutex
	ids     map[types.ID]struct{}
	subnets map[netip.Prefix]struct{} // masked
	asked   map[dialTarget]int        // addresses that the transport dials now
	closed  bool                      // nothing is dialed any more
	judge   func(peer.ID, netip.Addr) bool

	guard guard.Guard
	log   *summary.Log // of refused inbound connections that no listener of ours logs; nil: none
}

// dialTarget is a peer and one of its addresses, in binary form.
type dialTarget struct {
	p  peer.ID
	at string
}

var _ connmgr.ConnectionGater = (*gater)(nil)

func newGater() *gater {
	return &gater{
		ids: make(map[types.ID]struct{}), subnets: make(map[netip.Prefix]struct{}), asked: make(map[dialTarget]int),
		judge: func(_ peer.ID, ip netip.Addr) bool { return netgroup.IsDialable(ip) },
	}
}

// ask allows dials of these addresses, which the operator or the switch has named, until
// the returned function is called.
func (g *gater) ask(p peer.ID, addrs []multiaddr.Multiaddr) (done func()) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	for _, a := range addrs {
		g.asked[dialTarget{p, string(a.Bytes())}]++
	}

	return func() {
		g.mtx.Lock()
		defer g.mtx.Unlock()
		for _, a := range addrs {
			decrement(g.asked, dialTarget{p, string(a.Bytes())})
		}
	}
}

// mayDial reports whether an address that is not blocked may be dialed: because the
// transport dials it now, or because judge allows it. An address without an IP leads
// through a relay, which is dialed at an address of its own.
func (g *gater) mayDial(p peer.ID, a multiaddr.Multiaddr) bool {
	g.mtx.RLock()
	asked, judge, closed := g.asked[dialTarget{p, string(a.Bytes())}] > 0, g.judge, g.closed
	g.mtx.RUnlock()
	if closed {
		return false
	}
	ip := ipOf(a)

	return asked || !ip.IsValid() || judge(p, ip)
}

// close refuses all dials. libp2p panics (swarm.nonProxyAddr) if its host closes while it
// chooses the addresses of a dial that passes through no relay. A dial that has passed the
// gater before has a few instructions left there, and the host takes longer to close.
func (g *gater) close() {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	g.closed = true
}

// judgeBy sets the rule for addresses that the transport does not dial itself.
func (g *gater) judgeBy(judge func(peer.ID, netip.Addr) bool) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	g.judge = judge
}

// block adds the key to one of the gater's sets.
func block[K comparable](g *gater, set map[K]struct{}, key K) error {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	if _, ok := set[key]; !ok && len(set) >= MaxBlocked {
		return fmt.Errorf("%w: %d", ErrTooManyBlocked, MaxBlocked)
	}
	set[key] = struct{}{}

	return nil
}

func unblock[K comparable](g *gater, set map[K]struct{}, key K) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	delete(set, key)
}

// blockedID reports whether a TM2 ID is blocked.
func (g *gater) blockedID(id types.ID) bool {
	g.mtx.RLock()
	defer g.mtx.RUnlock()
	_, blocked := g.ids[id]

	return blocked
}

// blockedPeer reports whether the TM2 ID of a libp2p peer is blocked. A peer without a TM2
// ID is not.
func (g *gater) blockedPeer(p peer.ID) bool {
	g.mtx.RLock()
	none := len(g.ids) == 0
	g.mtx.RUnlock()
	if none {
		return false // computing an ID costs a hash, at every stage of every connection
	}
	id, err := p2paddr.TM2ID(p)

	return err == nil && g.blockedID(id)
}

func (g *gater) blockedIP(addr netip.Addr) bool {
	addr = addr.Unmap()
	g.mtx.RLock()
	defer g.mtx.RUnlock()
	if len(g.subnets) == 0 {
		return false
	}
	for bits := range addr.BitLen() + 1 {
		p, err := addr.Prefix(bits)
		if _, blocked := g.subnets[p]; err == nil && blocked {
			return true
		}
	}

	return false
}

func (g *gater) blockedAddr(a multiaddr.Multiaddr) bool { return g.blockedIP(ipOf(a)) }

// control refuses a TCP connection to a blocked IP, for a net.Dialer: the IP of a host name
// is known only there.
func (g *gater) control(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if g.blockedIP(addr.Addr()) {
		return banned()
	}

	return nil
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gater) InterceptPeerDial(p peer.ID) bool { return !g.blockedPeer(p) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gater) InterceptAddrDial(p peer.ID, a multiaddr.Multiaddr) bool {
	return !g.blockedAddr(a) && g.mayDial(p, a)
}

// InterceptAccept implements connmgr.ConnectionGater for all but our own TCP listener, which
// asks the same. Besides blocked subnets it refuses hosts that the switch has banned, before a
// handshake costs anything. A relay does not answer for those that connect through it.
func (g *gater) InterceptAccept(c network.ConnMultiaddrs) bool {
	from := c.RemoteMultiaddr()
	var refusal error
	switch {
	case g.blockedAddr(from):
		refusal = banned()
	case !isCircuit(from):
		refusal = g.admitConn(ipOf(from))
	}
	if !guard.IsBan(refusal) {
		return true
	}
	g.logRefusal(from, refusal)

	return false
}

// logRefusal logs a refused inbound connection, of which libp2p tells nobody.
func (g *gater) logRefusal(from multiaddr.Multiaddr, err error) {
	if g.log != nil {
		g.log.Event(slog.LevelInfo, ipOf(from), "inbound connection refused", compat.RejectBanned.String(),
			"address", p2paddr.NetAddr(from), "err", err)
	}
}

// admitConn asks the switch about a connection from the IP, and returns why it is refused, or
// nil. One without an IP is not asked about.
func (g *gater) admitConn(ip netip.Addr) error {
	if !ip.IsValid() {
		return nil
	}

	return g.guard.Check(ip)
}

// InterceptSecured implements connmgr.ConnectionGater. Our TCP listener logs the refusal itself.
func (g *gater) InterceptSecured(dir network.Direction, p peer.ID, c network.ConnMultiaddrs) bool {
	if !g.blockedPeer(p) {
		return true
	}
	if from := c.RemoteMultiaddr(); dir == network.DirInbound && p2paddr.IsUDP(from) {
		g.logRefusal(from, banned())
	}

	return false
}

// InterceptUpgraded implements connmgr.ConnectionGater. What was blocked while the
// handshake ran is refused here.
func (g *gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return !g.blockedConn(c), 0
}

// banned returns the refusal of a blocked node, with the keys of a configuration that block nodes.
// The node is told it, so it does not say which of them does.
func banned() *compat.RejectError {
	return compat.Reject(compat.RejectBanned, "an operator has blocked the node or its IP (blocked_peers, blocked_ips)")
}

// admits returns a refusal for a session of the node with the ID if that is blocked, or the
// connection. The session may be over an older connection: one with sessions stays open
// until they have said goodbye.
func (g *gater) admits(c network.Conn, id types.ID) error {
	if g.blockedID(id) || g.blockedConn(c) {
		return banned()
	}

	return nil
}

func (g *gater) blockedConn(c network.Conn) bool {
	return g.blockedPeer(c.RemotePeer()) || g.blockedAddr(c.RemoteMultiaddr())
}
