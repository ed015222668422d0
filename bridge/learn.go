package bridge

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// maxLearned bounds the targets that were not configured, maxPerSource those of
	// one source. Sources on private networks are their own, and small.
	maxLearned   = 64
	maxPerSource = 8
	// A learned target is forgotten when it could not be reached that often in a row,
	// a hint after the first time.
	maxFailures = 8
)

// source is the host that told of a learned target. It is not valid for one on a
// private network, whose hosts are the operator's own.
type source = netip.Prefix

func sourceOf(ip netip.Addr) source {
	if netgroup.IsLocal(ip) {
		return source{}
	}

	return netgroup.Host(ip)
}

// learn adds a target that was not configured, if there is room for it. What a node
// has proved about itself is not changed by what others say.
func (ts *targets) learn(addr types.NetAddress, o origin, from source) {
	ts.add(&target{addr: &addr, origin: o, source: from, seen: time.Now()})
}

// learnFound is learn for a node that has proved to be at the address, in the DHT.
func (ts *targets) learnFound(addr types.NetAddress, from source) {
	ts.add(&target{addr: &addr, origin: proved, source: from, found: true, seen: time.Now()})
}

func (ts *targets) add(learned *target) {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()

	sameID := func(t *target) bool { return t.addr.ID == learned.addr.ID }
	if i := slices.IndexFunc(ts.list, sameID); i >= 0 {
		ts.relearn(ts.list[i], learned)

		return
	}
	if ts.clearAddress(learned) && ts.makeRoom(learned, nil) {
		ts.list = append(ts.list, learned)
	}
}

// relearn notes what was learned of a known target, which keeps its pairs and what they
// have told. The caller holds the lock.
func (ts *targets) relearn(known, learned *target) {
	switch {
	case learned.origin != proved:
	case known.origin == configured:
		known.failures = 0 // it is up
	case known.addr.Equals(*learned.addr) && known.origin == proved && known.source == learned.source:
		known.seen, known.found = learned.seen, known.found || learned.found
	case ts.clearAddress(learned) && ts.makeRoom(learned, known):
		known.addr, known.origin, known.source = learned.addr, proved, learned.source
		known.seen, known.found = learned.seen, known.found || learned.found
	}
}

// clearAddress reports whether no other target has more right to the IP and port, so
// that nobody is flooded with dials for made-up IDs. It drops one that has less. The
// caller holds the lock.
func (ts *targets) clearAddress(learned *target) bool {
	at := learned.addr.DialString()
	i := slices.IndexFunc(ts.list, func(t *target) bool {
		return t.addr.ID != learned.addr.ID && t.addr.DialString() == at
	})
	if i < 0 {
		return true
	}
	holder := ts.list[i]
	switch {
	case holder.origin == configured || holder.proven || holder.pairs > 0 || learned.origin == hinted:
		return false
	case holder.origin == proved && holder.isAtHome() && !learned.isAtHome():
		return false
	}
	ts.list = slices.Delete(ts.list, i, i+1)

	return true
}

// isAtHome reports whether a proved target has come from the IP that it names.
func (t *target) isAtHome() bool { return t.source == sourceOf(netgroup.FromIP(t.addr.IP)) }

// makeRoom reports whether the limits let the target in, if need be in the place of
// one that is worth less. A known target that it is to change does not count. The caller
// holds the lock.
func (ts *targets) makeRoom(learned, known *target) bool {
	total, fromThere := 0, 0
	for _, t := range ts.list {
		if t.origin == configured || t == known {
			continue
		}
		total++
		if t.source == learned.source {
			fromThere++
		}
	}
	crowded := learned.source.IsValid() && fromThere >= maxPerSource
	if !crowded && total < maxLearned {
		return true
	}
	worst := -1
	for i, t := range ts.list {
		if t.origin < max(learned.origin, proved) || t == known || t.pairs > 0 || (crowded && t.source != learned.source) {
			continue
		}
		if worst < 0 || t.worseThan(ts.list[worst]) {
			worst = i
		}
	}
	if worst < 0 {
		return false
	}
	ts.list = slices.Delete(ts.list, worst, worst+1)

	return true
}

// worseThan compares two learned targets of which one has to go.
func (t *target) worseThan(other *target) bool {
	switch {
	case t.origin != other.origin:
		return t.origin > other.origin
	case t.failures != other.failures:
		return t.failures > other.failures
	case t.proven != other.proven:
		return other.proven
	default:
		return t.seen.Before(other.seen)
	}
}

// forgetFailing drops a learned target that is not there. The caller holds the lock.
func (ts *targets) forgetFailing(t *target) {
	if t.origin == hinted || (t.origin == proved && t.failures >= maxFailures) {
		ts.list = slices.DeleteFunc(ts.list, func(other *target) bool { return other == t })
	}
}

// countFound counts the targets of the DHT that are of use.
func (ts *targets) countFound() (n uint64) {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()
	for _, t := range ts.list {
		if t.counts() {
			n++
		}
	}

	return n
}

// counts reports whether the target was found in the DHT, and nothing speaks against
// it. Refusals do unless it has kept a pair: one that refuses everybody is of no use.
func (t *target) counts() bool {
	return t.origin == proved && t.found && t.failures == 0 && (t.proven || t.refused.IsZero())
}

// isServing reports whether the node is a configured target that has not failed.
func (ts *targets) isServing(id types.ID) bool {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()

	return slices.ContainsFunc(ts.list, func(t *target) bool {
		return t.origin == configured && t.failures == 0 && t.addr.ID == id
	})
}

// learnDialer makes a target of a libp2p node that has dialed the bridge.
func (b *Bridge) learnDialer(pending *lp2p.Pending) {
	if b.config.OnlyConfigured {
		return
	}
	from := netgroup.FromAddr(pending.RemoteAddr())
	if addr := b.dialerAddress(pending.NodeInfo(), from); b.mayLearn(&addr, from) {
		b.libp2pTargets.learn(addr, proved, sourceOf(from))
	}
}

// dialerAddress returns where a node that came from the IP may be dialed: where it says,
// or at that IP where the address that it names may not be dialed.
func (b *Bridge) dialerAddress(info types.NodeInfo, from netip.Addr) types.NetAddress {
	addr := types.NetAddress{ID: info.ID(), IP: info.NetAddress.IP, Port: info.NetAddress.Port}
	if !b.mayLearn(&addr, from) {
		addr.IP = from.AsSlice()
	}

	return addr
}

// mayLearn reports whether the bridge may dial an address of which a remote at this IP
// has told.
func (b *Bridge) mayLearn(addr *types.NetAddress, from netip.Addr) bool {
	return addr.Dialable() && netgroup.MayDial(netgroup.FromIP(addr.IP), from, netgroup.FromIP(b.config.Libp2pListen.IP))
}

// learnHints makes targets of what a libp2p node has told: they are tried when there
// are no better ones, and forgotten if nobody is there. Of several with one IP and
// port the first counts, so that nobody is flooded with dials for made-up IDs.
func (b *Bridge) learnHints(teller compat.PeerConn, texts []string) {
	from := remoteIP(teller)
	seen := make(map[string]bool, len(texts))
	for _, text := range texts {
		addr, err := types.ParseNetAddress(text)
		if err != nil || addr.ID == b.key.ID() || !b.mayLearn(addr, from) || seen[addr.DialString()] {
			continue
		}
		seen[addr.DialString()] = true
		b.libp2pTargets.learn(*addr, hinted, sourceOf(from))
	}
}

// remoteIP returns where the peer is connected from. It is not valid if that is not
// known.
func remoteIP(peer compat.PeerConn) netip.Addr {
	if ip := peer.RemoteIP(); ip != nil {
		return netgroup.FromIP(ip)
	}

	return netgroup.FromIP(peer.SocketAddr().IP)
}
