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

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// maxEntries is through how many bootstrap peers, and how many remembered ones, the
	// DHT is entered at once.
	maxEntries = 8
	// maxRemembered is from how many addresses the remembered ones are drawn.
	maxRemembered = 8 * maxEntries
)

// bootstrap enters the DHT, and makes this node known to those whose IDs are closest to
// its own: who looks for it asks them.
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

// remembered returns some of the addresses at which peers of the switch have answered,
// those of bootstrap peers apart: a node whose seeds are gone finds its network through
// former peers.
func (d *Discovery) remembered() (addrs []types.NetAddress) {
	best := d.t.AddrBook().Answered()
	best = best[:min(len(best), maxRemembered)]
	for _, i := range rand.Perm(len(best)) {
		addr := best[i]
		if len(addrs) < maxEntries && d.filter.passes(addrPort(addr)) && !d.wanted.isConfigured(addr.ID) {
			addrs = append(addrs, *addr)
		}
	}

	return addrs
}

// enterAt asks the node at the address a first question. If it answers, it is in
// the DHT.
func (d *Discovery) enterAt(addr types.NetAddress) {
	ctx, cancel := context.WithTimeout(d.ctx, walkTimeout)
	defer cancel()
	if addr.ID == d.t.NetAddress().ID || d.isPrivate(addr.ID) {
		return // a private peer takes no part, even if it would
	}
	info, err := d.t.Resolve(ctx, addr)
	if err == nil {
		d.configure(addr.ID, info)
		err = d.ask(ctx, info)
	}
	if err != nil && ctx.Err() == nil {
		d.Logger.Debug("bootstrap peer has not answered", "peer", addr.ID, "addr", addr.DialString(), "err", err)
	}
}

// configure notes where the operator says that a bootstrap peer is: there it is dialed,
// whatever that address is.
func (d *Discovery) configure(id types.ID, info peer.AddrInfo) {
	if !d.wanted.isConfigured(id) {
		return
	}
	var addrs []types.NetAddress
	for _, a := range info.Addrs {
		at, _ := endpointOf(a)
		addrs = append(addrs, netAddress(id, at))
	}
	d.book.Configure(id, addrs...)
}

// ask asks the peer for those closest to this node and makes it a member of the
// routing table if it answers.
func (d *Discovery) ask(ctx context.Context, info peer.AddrInfo) error {
	d.t.Host().Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	query := dhtpb.NewMessage(dhtpb.Message_FIND_NODE, []byte(d.self), 0)
	if _, err := d.sender.SendRequest(ctx, info.ID, query); err != nil {
		return err
	}
	// A full bucket is no error: somebody else is there.
	_, err := d.dht.RoutingTable().TryAddPeer(info.ID, true, true)
	if err != nil && !errors.Is(err, kb.ErrPeerRejectedNoCapacity) {
		d.Logger.Debug("bootstrap peer is no member of the routing table", "peer", info.ID, "err", err)
	}

	return nil
}
