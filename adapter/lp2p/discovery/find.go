package discovery

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// unconfiguredTimeout bounds the lookup of a peer that is not configured, since other
// lookups wait for it. walkTimeout bounds the lookup of a configured peer.
const unconfiguredTimeout = 10 * time.Second

// findLoop looks up the peers that are not at their addresses, one after the other.
func (d *Discovery) findLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for d.ctx.Err() == nil {
		p, due := d.records.next(time.Now())
		if p != "" {
			d.find(p)

			continue
		}
		if !due.IsZero() {
			timer.Reset(max(time.Until(due), time.Millisecond))
		}
		select {
		case <-d.ctx.Done():
		case <-d.records.queued.C():
		case <-timer.C:
		}
	}
}

// find looks up the address of a peer. The transport tries that address when a dial by
// the switch does not find the peer: a persistent peer is dialed only at its configured
// address. Any other peer is dialed there at once.
//
// A private peer is never looked up, because the query would tell its ID.
func (d *Discovery) find(p peer.ID) {
	id, err := d.ids.Of(p)
	if err != nil || d.unwanted(p) || d.client.HasPeer(id) {
		d.records.found(p)

		return
	}
	timeout := walkTimeout
	if !d.isConfigured(p) {
		timeout = unconfiguredTimeout // others wait
	}
	ctx, cancel := context.WithTimeout(d.ctx, timeout)
	defer cancel()
	d.counters.add(&d.counters.Searches, 1)
	// What it returns may be what this node knew before; what counts is where the
	// lookup has reached the peer, else where it was told to look.
	_, err = d.dht.FindPeer(ctx, p)
	addrs := d.noteFound(p)
	if len(addrs) == 0 && len(d.hints(p)) > 0 {
		// kad-dht tries a peer once in a lookup, and who told it first may have lied.
		var done func()
		if done, err = d.pool.acquire(ctx, p); err == nil {
			addrs = d.noteFound(p)
			done()
		}
	}
	if len(addrs) == 0 {
		d.Logger.Debug("peer was not found", "peer", id, "err", err)

		return
	}
	d.records.found(p)
	d.counters.add(&d.counters.Found, 1)
	d.Logger.Info("peer was found in the DHT", "peer", id, "addr", addrs[0].DialString())
	d.client.DialPeers(addrs[0])
}

// noteFound notes in the book of the transport where a connected peer is, and returns it:
// the address at which this node has dialed it, as answered, and those that it announces,
// if it may tell this node to dial them. It returns nothing for a peer that is not connected.
func (d *Discovery) noteFound(p peer.ID) (found []*types.NetAddress) {
	if !d.connected(p) {
		return nil
	}
	id, err := p2paddr.Learn(d.t.AddrBook(), p) // its key too, so that a later dial needs no probe
	if err != nil {
		return nil
	}
	add := func(at netip.AddrPort) {
		addr := netAddress(id, at)
		if !slices.ContainsFunc(found, func(a *types.NetAddress) bool { return a.Equals(addr) }) {
			found = append(found, &addr)
		}
	}
	if at := d.whereNow(p); at.IsValid() {
		add(at)
		d.t.AddrBook().MarkAnswered(found[0], types.StackLibp2p)
	}
	var from netip.Addr // not valid if the only connection goes through a relay
	if ips := d.connectedIPs(p); len(ips) > 0 {
		from = ips[0]
	}
	for _, a := range d.t.Host().Peerstore().Addrs(p) { // what it has told itself
		if at, ok := d.filter.parse(a); ok && d.mayTellUs(at.Addr(), from) {
			add(at)
		}
	}
	d.t.AddrBook().Add(addrbook.Source{ID: id, IP: from.AsSlice()}, found...)

	return found
}

// mayTellUs reports whether a peer that is connected from the other IP may announce an
// address for the switch to dial. Where this node announces no address of its own, or the
// operator decides about private ones, the filter has judged those.
func (d *Discovery) mayTellUs(ip, from netip.Addr) bool {
	own := netgroup.FromIP(d.t.NodeInfo().NetAddress.IP)
	if d.opts.privateAddresses != nil || !own.IsValid() || own.IsUnspecified() {
		return netgroup.MayTell(ip, from)
	}

	return netgroup.MayDial(ip, from, own)
}

// connectedIPs returns the IPs at which the peer is connected, except through a relay.
func (d *Discovery) connectedIPs(p peer.ID) (ips []netip.Addr) {
	for _, c := range d.t.Host().Network().ConnsToPeer(p) {
		if at, ok := p2paddr.AddrPort(c.RemoteMultiaddr()); ok {
			ips = append(ips, at.Addr())
		}
	}

	return ips
}

// whereNow returns where this node has dialed the peer to which it is connected. It is not
// valid if dialedAt shows it for no connection.
func (d *Discovery) whereNow(p peer.ID) netip.AddrPort {
	for _, c := range d.t.Host().Network().ConnsToPeer(p) {
		if at, ok := d.dialedAt(c); ok && !c.IsClosed() {
			return at
		}
	}

	return netip.AddrPort{}
}

// dialedAt returns where the peer was found by this node. A connection that the peer has
// opened, or that began at a relay, does not show where the peer listens.
func (d *Discovery) dialedAt(c network.Conn) (at netip.AddrPort, ok bool) {
	at, ok = d.filter.parse(c.RemoteMultiaddr())

	return at, ok && c.Stat().Direction == network.DirOutbound && !d.t.Met(c)
}
