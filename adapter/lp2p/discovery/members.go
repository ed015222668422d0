package discovery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// checkSoon asks a peer that has answered a query for its network, unless it was
// confirmed within confirmedTTL. A peer of another network that this node never dials
// would stay unnoticed otherwise. It does not wait.
func (d *Discovery) checkSoon(p peer.ID) {
	if d.records.of(p).isOurs(time.Now()) {
		return
	}
	select {
	case d.checking <- struct{}{}:
	default: // the next refresh asks it
		return
	}
	if !d.tasks.Go(func() {
		defer func() { <-d.checking }()
		d.checkMember(p)
	}) {
		<-d.checking
	}
}

// checkMembers asks the members of the routing table that are not confirmed for their
// network.
func (d *Discovery) checkMembers() {
	var asking sync.WaitGroup
	defer asking.Wait()
	for _, p := range d.dht.RoutingTable().ListPeers() {
		if d.ctx.Err() != nil {
			return
		}
		if !d.records.of(p).isOurs(time.Now()) {
			asking.Go(func() { d.checkMember(p) })
		}
	}
}

func (d *Discovery) checkMember(p peer.ID) {
	if !d.records.beginCheck(p, time.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, walkTimeout)
	defer cancel()
	var info types.NodeInfo // docs/sessions.md §10
	_, err := d.pool.stream(ctx, p, lp2p.NodeInfoProtocol, func(st network.Stream) (err error) {
		info, err = stream.ReadNodeInfo(st)

		return err
	})
	id, idErr := d.ids.Of(p)
	switch {
	case err == nil && idErr == nil && info.Network == d.t.NodeInfo().Network && info.ID() == id:
		d.records.confirm(p, time.Now())
		d.noteFound(p)
	case err == nil:
		d.refusePeer(p, refusedTTL)
	case errors.Is(err, stream.ErrUnsupported):
		d.refuseUnsupported(p)
	case ctx.Err() == nil:
		d.Logger.Debug("member of the routing table has not told its network", "peer", p, "err", err)
	}
}
