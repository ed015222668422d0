package adapter

import (
	"context"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
)

// A ghost is a connection whose remote has lost power or its network: this end does not
// notice until a ping times out. When a peer with the same, proved ID connects meanwhile,
// the former connection has to show that its remote still uses it. If it does not, the
// new connection takes its place.
const (
	// ghostAge is how long a connection must have lasted to be suspected. Younger ones are
	// more likely to be one of two that cross. A node that is back at once finds its ghost
	// old enough at its third dial, 3 s later.
	ghostAge = 2 * time.Second
	// ghostTimeout is the time for a sign of life: several round trips on a slow path.
	ghostTimeout = 1500 * time.Millisecond
	// ghostWait bounds the wait for the end of a ghost. It leaves time for the removal.
	ghostWait = ghostTimeout + time.Second
	// maxGhostWaits is how many newcomers may wait at once. Each holds one of maxAdmissions,
	// most of which must stay free for other peers. Exempt peers always wait: they are few.
	// Newcomers that wait for the removal of a connection count too.
	maxGhostWaits = maxAdmissions / 4
)

func init() {
	leeway.GhostAge = func(d time.Duration) any {
		return SwitchOption(func(sw *MultiplexSwitch) { sw.registry.ghostAge = d })
	}
}

// suspect returns the connection that has the ID if it may be a ghost, can be probed, and
// another newcomer may wait for its end. The caller holds the lock.
func (r *registry) suspect(id types.ID) *connection {
	c := r.byID[id]
	if c == nil || r.awaited[id] || len(r.awaited) >= maxGhostWaits && !r.lists.isExempt(id) {
		return nil
	}
	_, probes := c.conn.(compat.LivenessProber)
	since, runs := c.runsSince()
	if !probes || !runs || time.Since(since) < r.ghostAge {
		return nil
	}

	return c
}

// awaitGhost probes the former connection of a newcomer that was refused as its duplicate,
// and reports whether it has ended. One newcomer waits for each ID, and maxGhostWaits in
// all. Others are refused at once, so that peers cannot hold the admissions.
func (sw *MultiplexSwitch) awaitGhost(ctx context.Context, id types.ID) (ended bool) {
	former := sw.registry.await(id)
	if former == nil {
		return false
	}
	defer sw.registry.endWait(id)
	former.conn.(compat.LivenessProber).ProbeAlive(ghostTimeout)
	ctx, cancel := context.WithTimeout(ctx, ghostWait)
	defer cancel()
	select {
	case <-former.gone:
		sw.Logger.Info("the former connection of a peer was a ghost", "peer", id, "address", former.conn.RemoteAddr())

		return true
	case <-ctx.Done():
		return false
	}
}

// await returns the suspected connection of the ID, or nil. Until endWait no other newcomer
// waits for its end.
func (r *registry) await(id types.ID) *connection {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	former := r.suspect(id)
	if former != nil {
		r.awaited[id] = true
	}

	return former
}

func (r *registry) endWait(id types.ID) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	delete(r.awaited, id)
}
