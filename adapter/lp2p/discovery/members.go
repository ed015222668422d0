package discovery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// checkSoon asks a peer that has answered of which network it is, unless a session
// has shown it, or it was asked within the hour. One that comes to this node and is
// never dialed would not be found out otherwise. It does not wait.
func (d *Discovery) checkSoon(p peer.ID) {
	if d.records.isOurs(p, time.Now()) || !d.enter() {
		return
	}
	select {
	case d.checking <- struct{}{}:
	default: // the next refresh asks it
		d.tasks.Done()

		return
	}
	go func() {
		defer d.tasks.Done()
		defer func() { <-d.checking }()
		d.checkMember(p)
	}()
}

// checkMembers asks those members of the routing table that are not checked yet.
func (d *Discovery) checkMembers() {
	var asking sync.WaitGroup
	defer asking.Wait()
	for _, p := range d.dht.RoutingTable().ListPeers() {
		if d.ctx.Err() != nil {
			return
		}
		if !d.records.isOurs(p, time.Now()) {
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
	info, err := d.nodeInfo(ctx, p)
	var na multistream.ErrNotSupported[protocol.ID]
	if err != nil && !errors.As(err, &na) && ctx.Err() == nil {
		// The connection may have been that of a session which was refused.
		info, err = d.nodeInfo(ctx, p)
	}
	switch {
	case err == nil && info.Network == d.t.NodeInfo().Network && d.isIDOf(info.ID(), p):
		d.records.confirm(p, time.Now())
	case err == nil:
		d.refusePeer(p, refusedTTL)
	case errors.As(err, &na):
		d.refusePeer(p, strangeTTL)
	case ctx.Err() == nil:
		d.Logger.Debug("member of the routing table has not told its network", "peer", p, "err", err)
	}
}

func (d *Discovery) isIDOf(id types.ID, p peer.ID) bool {
	known, err := d.ids.of(p)

	return err == nil && known == id
}

// nodeInfo asks the peer for its NodeInfo (docs/sessions.md §10).
func (d *Discovery) nodeInfo(ctx context.Context, p peer.ID) (info types.NodeInfo, err error) {
	done, err := d.pool.acquire(ctx, p)
	if err != nil {
		return info, err
	}
	defer done()
	stream, err := d.t.Host().NewStream(network.WithNoDial(ctx, "connected for the question"), p, lp2p.NodeInfoProtocol)
	if err != nil {
		return info, err
	}
	defer func() { _ = stream.Reset() }() // it has ended, or is of no use
	stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
	defer stop()
	body, err := wire.ReadSized(stream, types.MaxNodeInfoSize)
	if err != nil {
		return info, fmt.Errorf("unable to receive the node info: %w", err)
	}
	if err := info.UnmarshalBinary(body); err != nil {
		return info, fmt.Errorf("unable to decode the node info: %w", err)
	}

	return info, nil
}
