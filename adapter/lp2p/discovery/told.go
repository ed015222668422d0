package discovery

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
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

// noteTold keeps as hints what a peer, connected from this IP, has told.
func (d *Discovery) noteTold(by peer.ID, from netip.Addr, told []*types.NetAddress) {
	if id, err := d.ids.of(by); err == nil {
		d.book.Add(addrbook.Source{ID: id, IP: from.AsSlice()}, told...)
	}
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

func (d *Discovery) knownOf(p peer.ID) []addrbook.Entry {
	id, err := d.ids.of(p)
	if err != nil {
		return nil
	}

	return d.book.Of(id)
}

// tryHints returns the hints at which a dial may start now, and counts the dials. The
// book bounds how many peers are tried at one endpoint.
func (d *Discovery) tryHints(p peer.ID) []types.NetAddress {
	return slices.DeleteFunc(d.hints(p), func(addr types.NetAddress) bool { return !d.book.Try(&addr) })
}

// multiaddrs returns where libp2p dials the addresses of the peer.
func (d *Discovery) multiaddrs(ctx context.Context, p peer.ID, addrs []types.NetAddress) (dialed []multiaddr.Multiaddr) {
	if _, err := p2paddr.Learn(d.t.AddrBook(), p); err != nil {
		return nil
	}
	for _, addr := range addrs {
		info, err := d.t.Resolve(ctx, addr) // asks nobody, since the key is known
		if err != nil {
			return dialed // the transport closes
		}
		dialed = append(dialed, info.Addrs...)
	}

	return dialed
}

// noteConn notes where a peer was found.
func (d *Discovery) noteConn(conn network.Conn) {
	id, err := d.ids.of(conn.RemotePeer())
	if at, ok := d.dialedAt(conn); ok && err == nil {
		addr := netAddress(id, at)
		d.book.MarkAnswered(&addr, addrbook.Libp2p)
	}
}

// noteAbsent notes in the book of the DHT that the hints have failed, and which other
// peers were found there.
func (d *Discovery) noteAbsent(p peer.ID, hints []types.NetAddress, err error) {
	id, idErr := d.ids.of(p)
	found := make(map[netip.AddrPort]peer.ID)
	var dialed *swarm.DialError
	if errors.As(err, &dialed) && idErr == nil {
		for _, attempt := range dialed.DialErrors {
			var other sec.ErrPeerIDMismatch
			if at, ok := d.filter.parse(attempt.Address); ok && errors.As(attempt.Cause, &other) {
				found[at] = other.Actual
			}
		}
	}
	for at, other := range found {
		addr, otherID := netAddress(id, at), types.ID(other) // no ID that anybody looks for
		if known, err := d.ids.of(other); err == nil {
			otherID = known
		}
		d.book.MarkWrongID(&addr, otherID)
	}
	for _, addr := range hints {
		if _, ok := found[addrPort(&addr)]; !ok {
			d.book.MarkFailed(&addr)
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

// isBootstrap reports whether the peer is one through which the DHT is entered.
func (d *Discovery) isBootstrap(p peer.ID) bool {
	id, err := d.ids.of(p)

	return err == nil && d.wanted.isConfigured(id)
}

// isConfigured reports whether the operator has configured the peer at this address.
// There it is dialed even if the address filter would drop the address.
func (d *Discovery) isConfigured(p peer.ID, a multiaddr.Multiaddr) bool {
	at, _ := endpointOf(a)

	return slices.ContainsFunc(d.knownOf(p), func(e addrbook.Entry) bool { return e.Configured && addrPort(&e.Addr) == at })
}
