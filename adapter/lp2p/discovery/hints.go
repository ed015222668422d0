package discovery

import (
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// maxAddrs is how many addresses of one peer are believed or told: IPv4 and IPv6,
	// TCP and QUIC, and as many again for a peer that has just moved.
	maxAddrs = 8
	// hintTTL is how long what others say is believed.
	hintTTL = 10 * time.Minute
	// maxHintsOfSource is how many hints one peer, or the peers of one network, may
	// fill. It has room for the answers of a whole lookup, because one provider may host
	// many peers.
	maxHintsOfSource = maxKnown / 4
)

// newBook returns the address book of the DHT: what lookups are told, and which peers
// have answered queries. It is separate from the book of the transport, which holds
// peers for the switch. A lookup tells hundreds of addresses that only the lookup needs
// to dial, and that belong in no file.
func newBook(self types.ID, allowDuplicateIP bool) (*addrbook.Book, error) {
	return addrbook.Open("", types.NetAddress{ID: self}, addrbook.WithMaxPeers(maxKnown),
		addrbook.WithMaxHints(maxHintsOfSource), addrbook.WithAllowDuplicateIP(allowDuplicateIP))
}

// addrFilter decides which addresses are believed and told.
type addrFilter struct {
	private atomic.Bool // loopback, private and shared addresses pass, too
}

// parse returns the IP and port of an address, and whether it passes.
func (f *addrFilter) parse(a multiaddr.Multiaddr) (netip.AddrPort, bool) {
	at, ok := p2paddr.AddrPort(a)

	return at, ok && f.passes(at)
}

func (f *addrFilter) passes(at netip.AddrPort) bool {
	return at.Port() != 0 && netgroup.IsDialable(at.Addr()) && (f.private.Load() || !netgroup.IsLocal(at.Addr()))
}

// filter returns those of the addresses that pass, in their order, at most
// maxAddrs.
func (f *addrFilter) filter(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	passed := multiaddr.FilterAddrs(addrs, func(a multiaddr.Multiaddr) bool {
		_, ok := f.parse(a)

		return ok
	})

	return passed[:min(len(passed), maxAddrs)]
}

// netAddress is the address as the switch dials it.
func netAddress(id types.ID, at netip.AddrPort) types.NetAddress {
	return types.NetAddress{ID: id, IP: at.Addr().AsSlice(), Port: at.Port()}
}

// addrPort is the IP and port of an address.
func addrPort(addr *types.NetAddress) netip.AddrPort {
	return netip.AddrPortFrom(netgroup.FromIP(addr.IP), addr.Port)
}

// believe removes from a response what is not believed, and keeps the addresses that
// remain as hints of the peer that has sent it from this IP. At most maxResponsePeers
// peers remain, each with a TM2 ID and at least one address that the sender may tell. This
// node, private peers and refused peers are removed.
func (d *Discovery) believe(by peer.ID, from netip.Addr, resp *dhtpb.Message) {
	resp.ProviderPeers, resp.Record = nil, nil
	count := len(resp.CloserPeers)
	var told []*types.NetAddress
	kept := resp.CloserPeers[:0]
	for _, entry := range resp.CloserPeers[:min(count, maxResponsePeers)] {
		p := peer.ID(entry.GetId())
		id, err := d.ids.Of(p)
		if err != nil || p == d.self || d.unwanted(p) {
			continue
		}
		var addrs [][]byte
		for _, b := range entry.Addrs[:min(len(entry.Addrs), 4*maxAddrs)] {
			a, err := multiaddr.NewMultiaddrBytes(b)
			at, ok := d.filter.parse(a)
			if err == nil && ok && netgroup.MayTell(at.Addr(), from) && len(addrs) < maxAddrs {
				addr := netAddress(id, at)
				addrs, told = append(addrs, b), append(told, &addr)
			}
		}
		if entry.Addrs = addrs; len(addrs) > 0 {
			kept = append(kept, entry)
		}
	}
	d.counters.add(&d.counters.PeersDropped, count-len(kept))
	resp.CloserPeers = kept
	if id, err := d.ids.Of(by); err == nil {
		d.book.Add(addrbook.Source{ID: id, IP: from.AsSlice()}, told...)
	}
}

// knownOf returns what the book of the DHT has of the peer.
func (d *Discovery) knownOf(p peer.ID) []addrbook.Entry {
	id, err := d.ids.Of(p)
	if err != nil {
		return nil
	}

	return d.book.Of(id)
}

// hints returns the hints about the peer that are not older than hintTTL and are due
// for a dial.
func (d *Discovery) hints(p peer.ID) (addrs []types.NetAddress) {
	now := time.Now()
	for _, e := range d.knownOf(p) {
		if now.Sub(e.Seen) < hintTTL && e.Due(now) {
			addrs = append(addrs, e.Addr)
		}
	}

	return addrs
}

// tryHints returns the hints at which a dial may start now, and counts the dials. The
// book bounds how many peers are tried at one endpoint.
func (d *Discovery) tryHints(p peer.ID) []types.NetAddress {
	return slices.DeleteFunc(d.hints(p), func(addr types.NetAddress) bool { return !d.book.Try(&addr) })
}

// noteConn notes where a peer was found.
func (d *Discovery) noteConn(conn network.Conn) {
	id, err := d.ids.Of(conn.RemotePeer())
	if at, ok := d.dialedAt(conn); ok && err == nil {
		addr := netAddress(id, at)
		d.book.MarkAnswered(&addr, types.StackLibp2p)
	}
}

// noteAbsent notes that the hints have failed, and which other peers were found there.
func (d *Discovery) noteAbsent(p peer.ID, hints []types.NetAddress, err error) {
	id, idErr := d.ids.Of(p)
	found := make(map[netip.AddrPort]bool)
	var dialed *swarm.DialError
	if errors.As(err, &dialed) && idErr == nil {
		for _, attempt := range dialed.DialErrors {
			var other sec.ErrPeerIDMismatch
			at, ok := d.filter.parse(attempt.Address)
			if !ok || !errors.As(attempt.Cause, &other) || found[at] {
				continue
			}
			found[at] = true
			addr := netAddress(id, at)
			otherID, err := d.ids.Of(other.Actual)
			if err != nil {
				otherID = types.ID(other.Actual) // no ID that anybody looks for
			}
			d.book.MarkWrongID(&addr, otherID)
		}
	}
	for _, addr := range hints {
		if !found[addrPort(&addr)] {
			d.book.MarkFailed(&addr)
		}
	}
}

// noteNoRoute takes back the dials of the hints to which this machine has no route. The dials of the
// peer's other hints stay counted: a peer could name an address without a route beside the address of
// somebody else, and have that one dialed without end.
func (d *Discovery) noteNoRoute(hints []types.NetAddress, err error) {
	var dialed *swarm.DialError
	if !errors.As(err, &dialed) {
		return
	}
	noted := make(map[netip.AddrPort]bool)
	for _, attempt := range dialed.DialErrors {
		at, ok := d.filter.parse(attempt.Address)
		i := slices.IndexFunc(hints, func(addr types.NetAddress) bool { return addrPort(&addr) == at })
		if ok && i >= 0 && !noted[at] && compat.IsNoRoute(attempt.Cause) {
			noted[at] = true
			d.book.MarkDialFailed(&hints[i], attempt.Cause)
		}
	}
}

// answeredAt returns the endpoint where the peer has answered. It is not valid if there
// is none, or if a dial there has failed since.
func (d *Discovery) answeredAt(p peer.ID) netip.AddrPort {
	for _, e := range d.knownOf(p) {
		if e.HasAnswered() && e.Failures == 0 {
			return addrPort(&e.Addr)
		}
	}

	return netip.AddrPort{}
}
