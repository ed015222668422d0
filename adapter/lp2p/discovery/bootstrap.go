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

// maxEntries is through how many bootstrap peers the DHT is entered at once.
const maxEntries = 8

// bootstrap enters the DHT through some of the bootstrap peers, and makes this
// node known to those whose IDs are closest to its own: who looks for it asks them.
func (d *Discovery) bootstrap(interval time.Duration) {
	var entering sync.WaitGroup
	for _, i := range rand.Perm(len(d.opts.bootstrap))[:min(maxEntries, len(d.opts.bootstrap))] {
		entering.Go(func() { d.enterAt(d.opts.bootstrap[i]) })
	}
	entering.Wait()
	if !d.entered() || d.ctx.Err() != nil {
		return
	}
	d.hinting(interval, func() error { return d.lookUp(string(d.self)) })
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
		err = d.ask(ctx, info)
	}
	if err != nil && ctx.Err() == nil {
		d.Logger.Debug("bootstrap peer has not answered", "peer", addr.ID, "addr", addr.DialString(), "err", err)
	}
}

// ask asks the peer for those closest to this node and makes it a member of the
// routing table if it answers.
func (d *Discovery) ask(ctx context.Context, info peer.AddrInfo) error {
	d.pool.give(info)
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
