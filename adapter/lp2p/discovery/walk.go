package discovery

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	// walkTimeout bounds one lookup.
	walkTimeout = 30 * time.Second
	// maxWalkWait is the longest interval between rounds that bring no new peer.
	maxWalkWait = time.Minute
	// maxEntryWait is the same for a node with an empty routing table: a bootstrap peer
	// at its connection limit may soon have room.
	maxEntryWait = 10 * time.Second
	// maxEmptyWait is the longest interval between walks while they find no candidate to
	// hint. A new member of the routing table resets it.
	maxEmptyWait = 5 * time.Minute
	// jitter is the largest random share added to a wait, so that nodes that start
	// together do not query in step.
	jitter = 0.2
)

// pace says when to walk. It belongs to the walk loop.
type pace struct {
	interval time.Duration // the least wait
	wait     time.Duration // between rounds
	gap      time.Duration // between walks that bring nobody
	walkAt   time.Time     // no walk before
	peers    int           // of the switch, after the last round
	offerAt  time.Time     // no offer before
}

// soon makes the next round walk: something has changed.
func (p *pace) soon() { p.wait, p.gap, p.walkAt = p.interval, 0, time.Time{} }

// walked notes how many hints a walk has brought. After a walk without hints another
// random key is likely to bring none either, so the next walk waits longer.
func (p *pace) walked(hints int, now time.Time) {
	if hints > 0 {
		p.gap, p.walkAt = 0, time.Time{}

		return
	}
	p.gap = min(4*max(p.gap, p.interval), maxEmptyWait)
	p.walkAt = now.Add(stretch(p.gap))
}

// next returns the wait until the next round. It grows until the switch has a new peer.
func (p *pace) next(peers int, entered bool) time.Duration {
	limit := maxWalkWait
	if !entered {
		limit = maxEntryWait
	}
	if p.wait = min(2*p.wait, limit); peers > p.peers {
		p.wait = p.interval
	}
	p.peers = peers

	return stretch(p.wait)
}

// walkLoop enters the DHT, walks while the switch has open outbound slots, and
// refreshes the routing table. Rounds without a new peer become rarer, and walks
// without candidates still rarer.
func (d *Discovery) walkLoop() {
	p := &pace{interval: d.opts.walkInterval, wait: d.opts.walkInterval}
	refresh := time.Now().Add(stretch(d.opts.refreshInterval))
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d.round(p)
		if d.ctx.Err() == nil && !time.Now().Before(refresh) {
			d.hinting(p.interval, d.refresh)
			refresh = time.Now().Add(stretch(d.opts.refreshInterval))
		}
		pause := min(p.next(len(d.peers()), d.entered()), time.Until(refresh))
		if d.openSlots() == 0 && d.entered() {
			pause = min(time.Until(refresh), offerInterval) // a peer that leaves wakes it
		}
		timer.Reset(max(pause, time.Millisecond))
		select {
		case <-d.ctx.Done():
			return
		case <-timer.C:
			continue
		case <-d.wake.C():
		case <-d.tableGrew.C():
		}
		p.soon()
		task.Sleep(d.ctx, stretch(p.wait)) // more may follow
	}
}

// stretch adds the jitter to a wait.
func stretch(wait time.Duration) time.Duration {
	return wait + time.Duration(mathrand.Float64()*jitter*float64(wait))
}

// entered reports whether the routing table has a member.
func (d *Discovery) entered() bool { return d.dht.RoutingTable().Size() > 0 }

// round does what is to be done now.
func (d *Discovery) round(p *pace) {
	d.filter.private.Store(d.privateAddresses()) // peers may have told where this node is
	if !d.entered() {
		d.bootstrap(p.interval)
	}
	if !d.entered() || d.ctx.Err() != nil {
		return
	}
	if d.openSlots() == 0 {
		if now := time.Now(); !now.Before(p.offerAt) {
			p.offerAt = now.Add(offerInterval)
			d.offer()
		}

		return
	}
	if time.Now().Before(p.walkAt) {
		d.hint() // some may have had to wait

		return
	}
	p.walked(d.hinting(p.interval, d.walk), time.Now())
}

// hinting runs a lookup and hints the peers that answer while it runs, so that a slow
// lookup delays no hint. It returns the number of hints.
func (d *Discovery) hinting(interval time.Duration, lookup func() error) (hinted int) {
	done := make(chan error, 1)
	d.loops.Go(func() { done <- lookup() }) // the caller is one of the loops: no Wait has returned
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err != nil && d.ctx.Err() == nil {
				d.Logger.Debug("lookup was not finished", "err", err)
			}

			return hinted + d.hint()
		case <-ticker.C:
			hinted += d.hint()
		}
	}
}

// walk looks up a random key. The peers that answer are a sample of the network.
func (d *Discovery) walk() error { return d.lookUp(rand.Text()) }

func (d *Discovery) lookUp(key string) error {
	ctx, cancel := context.WithTimeout(d.ctx, walkTimeout)
	defer cancel()
	d.counters.add(&d.counters.Walks, 1)
	_, err := d.dht.GetClosestPeers(ctx, key)
	if errors.Is(err, kb.ErrLookupFailure) {
		return nil // the routing table has just become empty
	}

	return err
}

// refresh checks the members of the routing table, and refreshes buckets without a
// recent lookup. It also asks one bootstrap peer and one former peer, so that two parts
// of a network that lost each other join again.
func (d *Discovery) refresh() error {
	d.counters.add(&d.counters.Refreshes, 1)
	for _, addrs := range [][]types.NetAddress{d.someBootstrapPeers(), d.remembered()} {
		if len(addrs) > 0 {
			d.enterAt(addrs[0])
		}
	}
	select {
	case err := <-d.dht.RefreshRoutingTable():
		if err != nil && d.ctx.Err() == nil {
			d.Logger.Debug("refresh of the routing table was not finished", "err", err)
		}
	case <-d.ctx.Done():
	}
	d.checkMembers()

	return nil
}
