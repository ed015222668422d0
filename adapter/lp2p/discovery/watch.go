package discovery

import (
	"context"
	"errors"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// watch learns from what comes of dials, and gives idle connections back. It never
// waits for the network, so that no event is missed.
func (d *Discovery) watch(happened <-chan events.Event) {
	ticker := time.NewTicker(idleTimeout / 4)
	defer ticker.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-ticker.C:
			d.pool.expire(time.Now())
		case e := <-happened: // closed only after this loop
			switch e := e.(type) {
			case events.DialFailedEvent:
				d.dialFailed(e.Address.ID, e.Reason)
			case events.PeerRejectedEvent:
				if isForeign(e.Reason) {
					d.refuse(e.PeerID)
				}
			}
		}
	}
}

// dialFailed judges what a failed dial says about a peer.
func (d *Discovery) dialFailed(id types.ID, reason error) {
	if errors.Is(reason, context.Canceled) || errors.Is(reason, compat.ErrTransportClosed) {
		return
	}
	pid, known := d.t.PeerID(id)
	if !known {
		return // it was never reached over libp2p
	}
	var reject *compat.RejectError
	switch {
	case isForeign(reason):
		d.refuse(id)
	case errors.As(reason, &reject) && reject.Code == compat.RejectDuplicate:
		// It has dialed us at the same moment.
	case reject != nil, errors.Is(reason, lp2p.ErrBusy):
		d.book.failed(pid, false, time.Now()) // it is there, and does not want us now
	default:
		d.book.failed(pid, true, time.Now())
		d.wanted.lost(id)
	}
}

// isForeign reports whether a refusal, by either side, says that the peer is no
// node of this network.
func isForeign(reason error) bool {
	var reject *compat.RejectError
	if errors.As(reason, &reject) {
		return reject.Code == compat.RejectIncompatible
	}

	return errors.Is(reason, lp2p.ErrNoSessions)
}

// refuse has nothing to do any more with a peer that is of another network,
// whatever it says in the DHT.
func (d *Discovery) refuse(id types.ID) {
	pid, known := d.t.PeerID(id)
	if !known {
		return
	}
	d.counters.peersRefused.Add(1)
	d.Logger.Info("peer of another network is left out of the DHT", "peer", id)
	d.book.refuse(pid, time.Now())
	d.evict(pid)
}
