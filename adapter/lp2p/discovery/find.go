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

// unconfiguredTimeout bounds the search for a peer that is not configured, as
// walkTimeout does for others.
const unconfiguredTimeout = 10 * time.Second

// errNotFound is returned for a peer of which nobody has told where it is.
var errNotFound = errors.New("nobody has told another address")

// findLoop looks for the peers that are not found at their addresses, one after
// the other.
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

// find looks up where a peer is now. The transport tries that when it does not find
// the peer where the switch wants it dialed: a persistent peer is dialed at its
// configured address only. Others are dialed there at once.
//
// Nobody is asked for a private peer: the question would tell its ID.
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

// tryAgain connects to the peer where the lookup was told to look and has not.
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

// foundAt returns where the peer was reached, and where it says that it is, or nothing.
// Only addresses that mean the same where the peer is connected from are believed.
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

// noteFound keeps in the transport's book what foundAt returned: where this node has
// dialed the peer as an answer, everything else as what the peer announces.
func (d *Discovery) noteFound(id types.ID, p peer.ID, addrs []*types.NetAddress) {
	if at := d.whereNow(p); at.IsValid() {
		addr := netAddress(id, at)
		d.t.AddrBook().MarkAnswered(&addr, addrbook.Libp2p)
	}
	from, _ := d.remoteIP(p)
	d.t.AddrBook().Add(addrbook.Source{ID: id, IP: from.AsSlice()}, addrs...)
}

// remoteIP returns the IP that the peer is connected from, not valid if that is hidden
// by a relay, and whether it is connected.
func (d *Discovery) remoteIP(p peer.ID) (from netip.Addr, connected bool) {
	for _, c := range d.t.Host().Network().ConnsToPeer(p) {
		if at, ok := endpointOf(c.RemoteMultiaddr()); ok {
			return at.Addr(), true
		}
	}

	return from, d.connected(p)
}
