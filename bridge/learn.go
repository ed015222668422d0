package bridge

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// maxLearned bounds the targets that were not configured, maxPerSource those of
	// one source. Sources on private networks have no limit of their own.
	maxLearned   = 64
	maxPerSource = 8
)

// source is the host that announced or told a target. It is not valid for a host on a
// private network, which is the operator's own.
type source = netip.Prefix

// learn adds a target that was not configured, or changes a known one, if the limits
// allow it.
func (ts *targets) learn(addr types.NetAddress, o origin, from source) {
	ts.add(&target{addr: &addr, origin: o, source: from, seen: time.Now()})
}

// learnFound is learn for a node that was found in the DHT, where it proved its address.
func (ts *targets) learnFound(addr types.NetAddress, from source) {
	ts.add(&target{addr: &addr, origin: announced, source: from, seen: time.Now(), found: true})
}

// add is learn. A known target keeps its pairs and its record, except that failures count
// against an address: at another one it gets a new try. What others tell of it changes
// nothing.
func (ts *targets) add(learned *target) {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()
	var known *target
	if i := slices.IndexFunc(ts.list, func(t *target) bool { return t.addr.ID == learned.addr.ID }); i >= 0 {
		known = ts.list[i]
	}
	switch {
	case known != nil && learned.origin == told:
	case known != nil && known.origin == configured:
		known.failures = 0 // it is up
	case !ts.makeRoom(learned, known):
	case known == nil:
		ts.list = append(ts.list, learned)
	default:
		if !known.addr.Equals(*learned.addr) {
			known.failures = 0
		}
		known.addr, known.origin, known.source = learned.addr, learned.origin, learned.source
		known.seen, known.found = learned.seen, known.found || learned.found
	}
}

// makeRoom reports whether the limits allow the learned target, and drops those that it
// displaces. A known target that it changes does not count. The caller holds the lock.
func (ts *targets) makeRoom(learned, known *target) bool {
	var holder, worst *target
	var all, near []*target // learned ones, and those of the same source
	for _, t := range ts.list {
		switch {
		case t == known:
		case t.addr.DialString() == learned.addr.DialString():
			holder = t
		case t.origin != configured:
			all = append(all, t)
			if t.source == learned.source && t.source.IsValid() {
				near = append(near, t)
			}
		}
	}
	if holder != nil && !learned.displaces(holder) {
		return false
	}
	if len(near) >= maxPerSource || len(all) >= maxLearned {
		if len(near) >= maxPerSource {
			all = near
		}
		all = slices.DeleteFunc(all, func(t *target) bool { return t.pairs > 0 || t.origin < learned.origin })
		if len(all) == 0 {
			return false
		}
		worst = slices.MinFunc(all, func(a, b *target) int { return slices.Compare(a.worth(), b.worth()) })
	}
	ts.list = slices.DeleteFunc(ts.list, func(t *target) bool { return t == holder || t == worst })

	return true
}

// displaces reports whether the learned target takes the IP and port from the one that
// has it: one IP and port is one target, so that made-up IDs do not multiply dials.
func (t *target) displaces(holder *target) bool {
	return t.origin != told && holder.origin != configured && !holder.proven && holder.pairs == 0 &&
		(holder.origin == told || !holder.isAtHome() || t.isAtHome())
}

// isAtHome reports whether the target was announced from the host that it names.
func (t *target) isAtHome() bool { return t.source == netgroup.PublicHost(netgroup.FromIP(t.addr.IP)) }

// worth orders the learned targets: where one has to go, it is the one of least worth.
func (t *target) worth() []int64 {
	return []int64{-int64(t.origin), -int64(t.failures), bit(t.proven), t.seen.UnixNano()}
}

// learnDialer makes a target of a libp2p node that has dialed the bridge. A configured
// target keeps its address, and the transport finds it at the announced one, which the
// address book has, when it is no longer there.
func (b *Bridge) learnDialer(node types.NodeInfo, remote net.Addr) {
	from := netgroup.FromAddr(remote)
	addr := b.dialerAddress(node, from)
	if !b.mayLearn(&addr, from) {
		return
	}
	b.libp2pSide().AddrBook().Add(addrbook.Source{ID: addr.ID, IP: from.AsSlice()}, &addr)
	if !b.config.OnlyConfigured {
		b.libp2pTargets.learn(addr, announced, netgroup.PublicHost(from))
	}
}

// dialerAddress returns where a node that is connected from the IP may be dialed: the
// address that it announces, with that IP if the announced one may not be dialed.
func (b *Bridge) dialerAddress(info types.NodeInfo, from netip.Addr) types.NetAddress {
	addr := types.NetAddress{ID: info.ID(), IP: info.NetAddress.IP, Port: info.NetAddress.Port}
	if !b.mayLearn(&addr, from) {
		addr.IP = from.AsSlice()
	}

	return addr
}

// mayLearn reports whether the bridge may dial an address that a remote at this IP names.
func (b *Bridge) mayLearn(addr *types.NetAddress, from netip.Addr) bool {
	return addr.Dialable() && netgroup.MayDial(netgroup.FromIP(addr.IP), from, netgroup.FromIP(b.config.Libp2pListen.IP))
}

// learnHints makes targets of the addresses that a libp2p node has told.
func (b *Bridge) learnHints(teller compat.PeerConn, texts []string) {
	from := netgroup.FromIP(teller.RemoteIP())
	for _, text := range texts {
		addr, err := types.ParseNetAddress(text)
		if err != nil {
			continue
		}
		if addr.ID = addr.ID.Canonical(); addr.ID != b.key.ID() && b.mayLearn(addr, from) {
			b.libp2pTargets.learn(*addr, told, netgroup.PublicHost(from))
		}
	}
}
