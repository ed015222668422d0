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
	// maxWalkWait is how far the interval between rounds grows that bring the switch
	// no peer.
	maxWalkWait = time.Minute
	// maxEntryWait is how far it grows while the node is not in the network yet: a
	// bootstrap peer that is refused by its connection limit may find room soon.
	maxEntryWait = 10 * time.Second
	// maxEmptyWait is how far walks are apart of which none brings anybody to hint:
	// whoever is new and can be asked makes the routing table grow, which ends it.
	maxEmptyWait = 5 * time.Minute
	// jitter is by how much every wait may be longer, so that nodes that began
	// together do not ask in step.
	jitter = 0.2
)

// pace says when to walk. It belongs to the walk loop.
type pace struct {
	interval time.Duration // the least wait
	wait     time.Duration // between rounds
	gap      time.Duration // between walks that bring nobody
	walkAt   time.Time     // no walk before
	peers    int           // of the switch, after the last round
}

// soon makes the next round walk: something has changed.
func (p *pace) soon() { p.wait, p.gap, p.walkAt = p.interval, 0, time.Time{} }

// walked notes how many hints a walk has brought. Without any there is nobody to
// connect to: another random key is likely to bring nobody either.
func (p *pace) walked(hints int, now time.Time) {
	if hints > 0 {
		p.gap, p.walkAt = 0, time.Time{}

		return
	}
	p.gap = min(4*max(p.gap, p.interval), maxEmptyWait)
	p.walkAt = now.Add(stretch(p.gap))
}

// next returns the wait until the next round, which grows until the switch has
// another peer.
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

// walkLoop enters the DHT and, as long as the switch has outbound slots open, gives
// it hints. It refreshes the routing table from time to time. Rounds that bring the
// switch no peer become rarer, and walks that bring nobody even more so.
func (d *Discovery) walkLoop() {
	p := &pace{interval: d.opts.walkInterval, wait: d.opts.walkInterval}
	refresh := time.Now().Add(stretch(d.opts.refreshInterval))
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d.round(p)
		if d.ctx.Err() == nil && !time.Now().Before(refresh) {
			d.refresh()
			refresh = time.Now().Add(stretch(d.opts.refreshInterval))
		}
		pause := min(p.next(len(d.peers()), d.entered()), time.Until(refresh))
		if d.openSlots() == 0 && d.entered() {
			pause = time.Until(refresh) // a peer that leaves wakes it
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

// entered reports whether the routing table has anybody in it.
func (d *Discovery) entered() bool { return d.dht.RoutingTable().Size() > 0 }

// round does what is to be done now.
func (d *Discovery) round(p *pace) {
	if !d.entered() {
		d.bootstrap(p.interval)
	}
	if d.openSlots() == 0 || !d.entered() || d.ctx.Err() != nil {
		return
	}
	if time.Now().Before(p.walkAt) {
		d.hintOpen() // some may have had to wait

		return
	}
	p.walked(d.hinting(p.interval, d.walk), time.Now())
}

// hinting runs a lookup, and hints those who answer meanwhile, so that one that is
// held up keeps nobody waiting. It returns how many were hinted.
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

			return hinted + d.hintOpen()
		case <-ticker.C:
			hinted += d.hintOpen()
		}
	}
}

// hintOpen gives the switch hints for its open slots, half as many again.
func (d *Discovery) hintOpen() int {
	missing := d.openSlots()
	if missing == 0 || d.ctx.Err() != nil {
		return 0
	}

	return d.hint(min(missing+missing/2+1, maxHints))
}

// walk looks up a random key: those who answer are a sample of the network.
func (d *Discovery) walk() error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}

	return d.lookUp(string(key))
}

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

// refresh finds out which members of the routing table are still there, and of this
// network, looks up what has not been looked up for long, and asks one of the
// bootstrap peers, so that two parts of a network that lost each other come together
// again.
func (d *Discovery) refresh() {
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
}
