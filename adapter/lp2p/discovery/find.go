package discovery

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// unconfiguredTimeout bounds the lookup of a peer that is not configured, since other
// lookups wait for it. walkTimeout bounds the lookup of a configured peer.
const unconfiguredTimeout = 10 * time.Second

// errNotFound: the lookup has brought no address of the peer.
var errNotFound = errors.New("nobody has told another address")

// findLoop looks up the peers that are not at their addresses, one after the other.
func (d *Discovery) findLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		id, due := d.wanted.next(time.Now())
		if id != "" {
			d.find(id)
		} else if !due.IsZero() {
			timer.Reset(max(time.Until(due), time.Millisecond))
		}
		if id != "" && d.ctx.Err() == nil {
			continue
		}
		select {
		case <-d.ctx.Done():
			return
		case <-d.wanted.queued.C():
		case <-timer.C:
		}
	}
}

// find looks up the address of a peer. The transport tries that address when a dial by
// the switch does not find the peer: a persistent peer is dialed only at its configured
// address. Any other peer is dialed there at once.
//
// A private peer is never looked up, because the query would tell its ID.
func (d *Discovery) find(id types.ID) {
	p, known := p2paddr.Known(d.t.AddrBook(), id)
	if !known || d.isPrivate(id) || d.unwanted(p) || d.client.HasPeer(id) {
		d.wanted.found(id)

		return
	}
	timeout := walkTimeout
	if !d.wanted.isConfigured(id) {
		timeout = unconfiguredTimeout // others wait
	}
	ctx, cancel := context.WithTimeout(d.ctx, timeout)
	defer cancel()
	d.counters.add(&d.counters.Searches, 1)
	// What it returns may be what this node knew before; what counts is where the
	// lookup has reached the peer, else where it was told to look.
	_, err := d.dht.FindPeer(ctx, p)
	addrs := d.foundAt(id, p)
	if len(addrs) == 0 {
		// kad-dht tries a peer once in a lookup, and who told it first may have lied.
		addrs, err = d.tryAgain(ctx, id, p)
	}
	if len(addrs) == 0 {
		d.Logger.Debug("peer was not found", "peer", id, "err", err)

		return
	}
	d.wanted.found(id)
	d.counters.add(&d.counters.Found, 1)
	d.Logger.Info("peer was found in the DHT", "peer", id, "addr", addrs[0].DialString())
	d.noteFound(id, p, addrs)
	d.client.DialPeers(addrs[0])
}

// tryAgain dials the peer at hints that the lookup has not tried.
func (d *Discovery) tryAgain(ctx context.Context, id types.ID, p peer.ID) ([]*types.NetAddress, error) {
	if len(d.hints(p)) == 0 {
		return nil, errNotFound
	}
	done, err := d.pool.acquire(ctx, p)
	if err != nil {
		return nil, err
	}
	defer done()

	return d.foundAt(id, p), nil
}

// foundAt returns the address at which the peer was dialed and those that it announces.
// It is empty if the peer is not connected. An announced address counts only if the IP
// of the peer may tell it.
func (d *Discovery) foundAt(id types.ID, p peer.ID) []*types.NetAddress {
	var found []*types.NetAddress
	seen := make(map[netip.AddrPort]bool)
	add := func(at netip.AddrPort) {
		if !seen[at] {
			seen[at] = true
			addr := netAddress(id, at)
			found = append(found, &addr)
		}
	}
	if at := d.whereNow(p); at.IsValid() {
		add(at)
	}
	from, connected := d.remoteIP(p)
	if !connected {
		return nil
	}
	for _, a := range d.t.Host().Peerstore().Addrs(p) { // what it has told itself
		if at, ok := d.filter.parse(a); ok && netgroup.MayTell(at.Addr(), from) {
			add(at)
		}
	}

	return found
}

// noteFound keeps the result of foundAt in the book of the transport: the dialed
// address as answered, the others as announced by the peer.
func (d *Discovery) noteFound(id types.ID, p peer.ID, addrs []*types.NetAddress) {
	if at := d.whereNow(p); at.IsValid() {
		addr := netAddress(id, at)
		d.t.AddrBook().MarkAnswered(&addr, addrbook.Libp2p)
	}
	from, _ := d.remoteIP(p)
	d.t.AddrBook().Add(addrbook.Source{ID: id, IP: from.AsSlice()}, addrs...)
}

// remoteIP returns the IP from which the peer is connected, and whether it is
// connected. The IP is not valid if the only connection goes through a relay.
func (d *Discovery) remoteIP(p peer.ID) (from netip.Addr, connected bool) {
	for _, c := range d.t.Host().Network().ConnsToPeer(p) {
		if at, ok := endpointOf(c.RemoteMultiaddr()); ok {
			return at.Addr(), true
		}
	}

	return from, d.connected(p)
}
