package discovery

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"net/netip"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// walkTimeout bounds one lookup.
	walkTimeout = 30 * time.Second
	// maxWalkWait is how far the interval between walks grows that find nobody new.
	maxWalkWait = time.Minute
	// maxHints bounds the hints after one walk.
	maxHints = 16
	// jitter is by how much every wait may be longer, so that nodes that began
	// together do not ask in step.
	jitter = 0.2
)

// walkLoop enters the DHT and, as long as the switch has outbound slots open, gives
// it hints. It refreshes the routing table from time to time. Walks that bring the
// switch no peer become rarer: there may be nobody else, or the slots are taken by
// crossed connections, which count as inbound.
func (d *Discovery) walkLoop() {
	wait, before := d.opts.walkInterval, 0
	refresh := time.Now().Add(stretch(d.opts.refreshInterval))
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d.round()
		if d.ctx.Err() == nil && !time.Now().Before(refresh) {
			d.refresh()
			refresh = time.Now().Add(stretch(d.opts.refreshInterval))
		}
		peers := len(d.Switch.Peers().List())
		if wait = min(2*wait, maxWalkWait); peers > before {
			wait = d.opts.walkInterval
		}
		before = peers
		pause := min(stretch(wait), time.Until(refresh))
		if d.openSlots() == 0 && d.entered() {
			pause = time.Until(refresh) // a peer that leaves wakes it
		}
		timer.Reset(max(pause, time.Millisecond))
		select {
		case <-d.ctx.Done():
			return
		case <-timer.C:
			continue
		case <-d.wake:
		case <-d.tableGrew:
		}
		wait = d.opts.walkInterval
		d.pause(stretch(wait)) // more may follow
	}
}

// stretch adds the jitter to a wait.
func stretch(wait time.Duration) time.Duration {
	return wait + time.Duration(mathrand.Float64()*jitter*float64(wait))
}

// pause waits unless discovery stops.
func (d *Discovery) pause(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-d.ctx.Done():
	case <-timer.C:
	}
}

// entered reports whether the routing table has anybody in it.
func (d *Discovery) entered() bool { return d.dht.RoutingTable().Size() > 0 }

// openSlots is how many outbound peers are missing.
func (d *Discovery) openSlots() int {
	if n := d.Switch.Peers().NumOutbound(); n < d.opts.maxOutbound {
		return int(min(d.opts.maxOutbound-n, maxHints))
	}

	return 0
}

// round does what is to be done now.
func (d *Discovery) round() {
	if !d.entered() {
		d.bootstrap()
	}
	missing := d.openSlots()
	if missing == 0 || !d.entered() || d.ctx.Err() != nil {
		return
	}
	if err := d.walk(); err != nil && d.ctx.Err() == nil {
		d.Logger.Debug("random walk was not finished", "err", err)
	}
	d.hint(min(missing+missing/2+1, maxHints))
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
	d.counters.walks.Add(1)
	_, err := d.dht.GetClosestPeers(ctx, key)
	if errors.Is(err, kb.ErrLookupFailure) {
		return nil // the routing table has just become empty
	}

	return err
}

// hint tells the switch of up to n peers that have answered a query of late.
func (d *Discovery) hint(n int) {
	candidates := d.book.alive(time.Now())
	mathrand.Shuffle(len(candidates), func(i, j int) {
		candidates[i], candidates[j] = candidates[j], candidates[i]
	})
	peers := d.Switch.Peers()
	hints := make([]*types.NetAddress, 0, n)
	seen := make(map[netip.AddrPort]bool, n)
	for _, p := range candidates {
		if len(hints) == n {
			break
		}
		id, err := lp2p.TM2ID(p)
		if err != nil || d.isPrivate(id) || peers.Has(id) {
			continue
		}
		at, ok := d.whereIs(p)
		if !ok || seen[at] {
			continue
		}
		if _, err := d.t.Learn(p); err != nil {
			continue
		}
		seen[at] = true
		d.book.hinted(p, time.Now())
		addr := netAddress(id, at)
		hints = append(hints, &addr)
	}
	if len(hints) > 0 {
		d.counters.hints.Add(uint64(len(hints)))
		d.Switch.DialPeers(hints...)
	}
}

// whereIs returns where a peer can be dialed: where it was, else where it says it
// is, else where others say.
func (d *Discovery) whereIs(p peer.ID) (netip.AddrPort, bool) {
	if at := d.whereNow(p); at.IsValid() {
		return at, true
	}
	if at := d.book.verifiedAt(p); at.IsValid() {
		return at, true
	}
	for _, a := range append(d.t.Host().Peerstore().Addrs(p), d.book.hints(p, time.Now())...) {
		if at, ok := d.filter.parse(a); ok {
			return at, true
		}
	}

	return netip.AddrPort{}, false
}

// whereNow returns where this node has dialed the peer to which it is connected,
// not valid if it has not.
func (d *Discovery) whereNow(p peer.ID) netip.AddrPort {
	conn, ok := d.outbound(p)
	if !ok {
		return netip.AddrPort{}
	}
	at, ok := d.filter.parse(conn.RemoteMultiaddr())
	if !ok {
		return netip.AddrPort{}
	}

	return at
}

// refresh finds out which members of the routing table are still there, looks up
// what has not been looked up for long, and asks one of the bootstrap peers, so
// that two parts of a network that lost each other come together again.
func (d *Discovery) refresh() {
	d.counters.refreshes.Add(1)
	if addrs := d.opts.bootstrap; len(addrs) > 0 {
		d.enterAt(addrs[mathrand.IntN(len(addrs))])
	}
	select {
	case err := <-d.dht.RefreshRoutingTable():
		if err != nil && d.ctx.Err() == nil {
			d.Logger.Debug("refresh of the routing table was not finished", "err", err)
		}
	case <-d.ctx.Done():
	}
}
