package discovery

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxEntries is through how many bootstrap peers, and how many remembered ones, the DHT is
// entered at once.
const maxEntries = 8

// bootstrap enters the DHT and looks up this node's own ID. The lookup makes the node
// known to the peers with the closest IDs, which others ask for it.
func (d *Discovery) bootstrap(interval time.Duration) {
	var entering sync.WaitGroup
	for _, addr := range append(d.someBootstrapPeers(), d.remembered()...) {
		entering.Go(func() { d.enterAt(addr) })
	}
	entering.Wait()
	if !d.entered() || d.ctx.Err() != nil {
		return
	}
	d.hinting(interval, func() error { return d.lookUp(string(d.self)) })
}

func (d *Discovery) someBootstrapPeers() (addrs []types.NetAddress) {
	for _, i := range rand.Perm(len(d.opts.bootstrap))[:min(maxEntries, len(d.opts.bootstrap))] {
		addrs = append(addrs, d.opts.bootstrap[i])
	}

	return addrs
}

// remembered returns up to maxEntries addresses of former peers, in random order, through
// which a node whose seeds are gone finds its network. Bootstrap peers, members of the
// routing table and unwanted peers are left out.
//
// These are addresses at which a peer has answered, or which a peer of this network has
// announced. An address that failed is due at growing intervals (see addrbook.Entry.Due),
// and a peer that left a query unanswered after unservedTTL. One address that is not due is
// added, so that a node notices soon when the network is back.
//
// What any other peer has announced may lead anywhere. It is tried as a hint is, only where
// few dials have failed for any peer (see addrbook.Book.Dialable).
func (d *Discovery) remembered() []types.NetAddress {
	var due, waiting []types.NetAddress
	now, book := time.Now(), d.t.AddrBook()
	entries := book.Entries()
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	for _, e := range entries {
		p, known := p2paddr.Known(book, e.Addr.ID)
		record := d.records.of(p)
		trusted := e.HasAnswered() || known && e.Announced() && record.wasOurs()
		switch {
		case known && (d.unwanted(p) || d.dht.RoutingTable().Find(p) != ""):
		case d.configured[e.Addr.ID], !d.filter.passes(addrPort(&e.Addr)):
		case !trusted && !e.Announced():
		case !trusted && len(book.Dialable([]*types.NetAddress{&e.Addr})) == 0:
		case e.Due(now) && now.Sub(record.unserved) >= unservedTTL:
			due = append(due, e.Addr)
		default:
			waiting = append(waiting, e.Addr)
		}
	}

	return append(due[:min(len(due), maxEntries)], waiting[:min(len(waiting), 1)]...)
}

// enterAt sends a first query to the node at the address. If the node answers, it
// becomes a member of the routing table. Only a failed dial counts against the address: a
// node that was found there may still not serve the DHT.
func (d *Discovery) enterAt(addr types.NetAddress) {
	ctx, cancel := context.WithTimeout(d.ctx, walkTimeout)
	defer cancel()
	if addr.ID == d.t.NetAddress().ID || d.isPrivate(addr.ID) {
		return // a private peer takes no part, even if it would
	}
	p, done, err := d.reach(ctx, addr)
	switch {
	case err == nil:
		defer done()
		if err = d.ask(ctx, p); err != nil && d.ctx.Err() == nil {
			d.records.update(p, time.Now(), func(k *record) { k.unserved = time.Now() })
		}
	case !errors.Is(err, errUnwanted) && d.ctx.Err() == nil:
		d.t.AddrBook().MarkDialFailed(&addr, err)
	}
	if err != nil && d.ctx.Err() == nil {
		d.Logger.Debug("bootstrap peer has not answered", "peer", addr.ID, "addr", addr.DialString(), "err", err)
	}
}

// reach connects to the node at the address. The connection stays open until the returned
// function is called. A bootstrap peer is dialed there even if the address filter would
// drop the address.
func (d *Discovery) reach(ctx context.Context, addr types.NetAddress) (peer.ID, func(), error) {
	info, err := d.t.Resolve(ctx, addr)
	if err != nil {
		return "", nil, err
	}
	if d.configured[addr.ID] {
		var addrs []types.NetAddress
		for _, a := range info.Addrs {
			at, _ := p2paddr.AddrPort(a)
			addrs = append(addrs, netAddress(addr.ID, at))
		}
		d.book.Configure(addr.ID, addrs...)
	}
	d.t.Host().Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	if s, ok := d.t.Host().Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(info.ID) // the intervals are those of the address book
	}
	done, err := d.pool.acquire(ctx, info.ID)

	return info.ID, done, err
}

// ask queries the peer for the peers closest to this node. If the peer answers, it
// becomes a member of the routing table.
func (d *Discovery) ask(ctx context.Context, p peer.ID) error {
	query := dhtpb.NewMessage(dhtpb.Message_FIND_NODE, []byte(d.self), 0)
	if _, err := d.sender.SendRequest(ctx, p, query); err != nil {
		return err
	}
	// A full bucket is no error: somebody else is there.
	_, err := d.dht.RoutingTable().TryAddPeer(p, true, true)
	if err != nil && !errors.Is(err, kb.ErrPeerRejectedNoCapacity) {
		d.Logger.Debug("bootstrap peer is no member of the routing table", "peer", p, "err", err)
	}

	return nil
}
