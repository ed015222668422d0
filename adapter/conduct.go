package adapter

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// An ID, and the host that it connects from, collect points for what no honest node does, or
// does not do often. Points fade by one a second. At maxPoints the ID or host is refused for
// a time that doubles with each refusal, and the points begin anew.
const (
	maxPoints = 100
	// violationPoints are for a connection that ends because the remote broke the protocol
	// (compat.ErrViolation).
	violationPoints = maxPoints
	// wrongAddrPoints are for an address at which another node answers than the one that
	// the peer has told. They count against the peer's hints only.
	wrongAddrPoints = 10
	// connPoints are for an inbound connection. About ten in a row are free, and one every 10 s
	// after that. A session of usefulUptime clears the host.
	connPoints = 10
	// refusedPoints are for an inbound connection while no slot is left for it. TM2 nodes
	// dial a full node again with each answer of discovery, every 3 s, and several of them
	// may share an IP.
	refusedPoints = 1
	// flapPoints are for the widest network of a peer that took the place of another one and
	// left within usefulUptime. A network that is refused for it evicts nobody for that time.
	flapPoints = maxPoints / 2

	// firstRefusal is how long go-ethereum lets an IP wait. A node that keeps starting and
	// failing is admitted again within maxRefusal of its repair.
	firstRefusal = 30 * time.Second
	maxRefusal   = 32 * firstRefusal

	// maxRecords bounds the IDs and likewise the hosts that are remembered. Beyond it, the
	// least bad of evictionSample random ones is forgotten.
	maxRecords     = 4096
	evictionSample = 16
)

// record is the conduct of an ID or a host.
type record struct {
	points float64
	at     time.Time     // when points was right
	until  time.Time     // refused until then
	wait   time.Duration // how long the last refusal is or was; zero for none
	reason error         // of that refusal
}

// fade brings the record up to date. The length of refusals begins anew when the last one has
// been over for twice its length.
func (r *record) fade(now time.Time) {
	r.points = max(0, r.points-now.Sub(r.at).Seconds())
	r.at = now
	if now.After(r.until.Add(2 * r.wait)) {
		r.wait = 0
	}
}

// ledger holds the records of at most maxRecords keys.
type ledger[K comparable] map[K]*record

// charge adds points and returns how long the key is refused if this was too much, else zero.
// What a refused key does adds nothing.
func (l ledger[K]) charge(key K, points float64, reason error, now time.Time) time.Duration {
	r := l[key]
	if r == nil {
		l.makeRoom(now)
		r = &record{at: now}
		l[key] = r
	}
	if now.Before(r.until) {
		return 0
	}
	r.fade(now)
	r.points += points
	if r.points < maxPoints {
		return 0
	}
	r.wait = min(max(2*r.wait, firstRefusal), maxRefusal)
	r.points, r.until, r.reason = 0, now.Add(r.wait), reason

	return r.wait
}

// makeRoom forgets a key if the ledger is full.
func (l ledger[K]) makeRoom(now time.Time) {
	if len(l) < maxRecords {
		return
	}
	var least K
	var worth *record
	sampled := 0
	for key, r := range l {
		r.fade(now)
		if worth == nil || r.wait < worth.wait || r.wait == worth.wait && r.points < worth.points {
			least, worth = key, r
		}
		if sampled++; sampled == evictionSample {
			break
		}
	}
	delete(l, least)
}

// refusal returns why the key is refused, or nil.
func (l ledger[K]) refusal(key K, now time.Time) error {
	r := l[key]
	if r == nil || !now.Before(r.until) {
		return nil
	}

	return compat.Reject(compat.RejectBanned, "refused for %s: %v", r.until.Sub(now).Round(time.Second), r.reason)
}

// conduct remembers how peers have behaved. It knows no exemptions; its callers apply them.
// All methods may be called concurrently.
type conduct struct {
	mtx   sync.Mutex
	ids   ledger[types.ID]
	hosts ledger[netip.Prefix] // and networks, for flapPoints
	// sources are peers whose hints have led to other nodes.
	sources ledger[types.ID]
}

func newConduct() *conduct {
	return &conduct{
		ids: make(ledger[types.ID]), hosts: make(ledger[netip.Prefix]), sources: make(ledger[types.ID]),
	}
}

// refusal returns why the ID or the host is refused, or nil. Neither is asked about if it has
// no value.
func (c *conduct) refusal(id types.ID, host netip.Prefix) error {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	now := time.Now()
	err := c.ids.refusal(id, now)
	if err == nil {
		err = c.hosts.refusal(host, now)
	}

	return err
}

// charge adds points to an ID and a host, and returns how long one of them is refused now.
func (c *conduct) charge(id types.ID, host netip.Prefix, points float64, reason error) (wait time.Duration) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	now := time.Now()
	if id != "" {
		wait = c.ids.charge(id, points, reason, now)
	}
	if host.IsValid() {
		wait = max(wait, c.hosts.charge(host, points, reason, now))
	}

	return wait
}

// chargeSource adds wrongAddrPoints to a source of hints, and returns how long its hints are
// not dialed now.
func (c *conduct) chargeSource(id types.ID, reason error) time.Duration {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return c.sources.charge(id, wrongAddrPoints, reason, time.Now())
}

// distrusts reports whether the hints of the source are not dialed.
func (c *conduct) distrusts(id types.ID) bool {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return c.sources.refusal(id, time.Now()) != nil
}

// pardon forgets what a host has done.
func (c *conduct) pardon(host netip.Prefix) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	delete(c.hosts, host)
}

var (
	errManyConns = errors.New("too many connections that end without a session of a minute (allow_duplicate_ip)")
	errFlaps     = errors.New("its peers took the places of others and left at once")
)

// accountable returns the host if points count against it, and else none. Points do not
// count against a loopback IP, which all nodes on the machine share, nor against any IP
// with allow_duplicate_ip, where several nodes may share it. The host of an exempt peer must
// stay open for that peer, which may have any host until it has been connected.
func (sw *MultiplexSwitch) accountable(host netip.Prefix) netip.Prefix {
	if sw.registry.allowDuplicateIP || netgroup.KindOf(host.Addr()) == netgroup.Loopback || sw.lists.isExemptHost(host) {
		return netip.Prefix{}
	}

	return host
}

// chargeConn charges the host of the stranger for an inbound connection. It returns a refusal
// if the host is refused.
func (sw *MultiplexSwitch) chargeConn(stranger candidate) error {
	host, points := stranger.answers, float64(connPoints)
	if sw.registry.admissible(stranger) != nil {
		points = refusedPoints
	}
	if wait := sw.conduct.charge("", host, points, errManyConns); wait > 0 {
		sw.refused.Event(slog.LevelWarn, host.Addr(), "host is refused for a while", "connections",
			"host", netgroup.Name(host), "for", wait, "err", errManyConns)
	}

	return sw.conduct.refusal("", host)
}

// blame refuses the peer of a connection that has ended because the peer broke the protocol.
// An exempt peer is only reported. The host of a bridge that is exempt does not answer for the
// peers that the bridge presents.
func (sw *MultiplexSwitch) blame(c *connection, reason error) {
	if sw.lists.isExempt(c.id) {
		sw.Logger.Warn("configured peer misbehaves", "peer", c.id, "address", c.conn.RemoteAddr(), "err", reason)

		return
	}
	var host netip.Prefix
	if !sw.lists.isExempt(compat.Delegate(c.conn)) {
		host = sw.accountable(hostOf(c.conn))
	}
	if wait := sw.conduct.charge(c.id, host, violationPoints, reason); wait > 0 {
		sw.refused.Event(slog.LevelWarn, netgroup.FromIP(c.conn.RemoteIP()), "peer is refused for a while", "conduct",
			"peer", c.id, "address", c.conn.RemoteAddr(), "for", wait, "err", reason)
	}
}

// blameSource charges the peer that has told the address of a dial at which another node
// answers. Peers pass on what others announce, so it loses no more than its hints for a while.
func (sw *MultiplexSwitch) blameSource(t *dial, err error) {
	if t.source == "" || compat.ClassifyDial(err) != compat.DialWrongID || sw.lists.isExempt(t.source) {
		return
	}
	if wait := sw.conduct.chargeSource(t.source, err); wait > 0 {
		sw.refused.Event(slog.LevelWarn, netgroup.FromIP(t.addr.IP), "hints of a peer are not dialed for a while", "wrong addresses",
			"peer", t.source, "for", wait, "err", err)
	}
}

// judgeEnd settles what the end of a connection says of its peer.
func (sw *MultiplexSwitch) judgeEnd(c *connection, reason error, uptime time.Duration) {
	if c.evicted && uptime < usefulUptime {
		sw.conduct.charge("", c.networks[0], flapPoints, errFlaps)
	}
	switch {
	case errors.Is(reason, compat.ErrViolation):
		sw.blame(c, reason)
	case uptime >= usefulUptime:
		sw.conduct.pardon(hostOf(c.conn))
	}
}

// hostOf returns the host of the remote. It is not valid if its IP is not known.
func hostOf(conn compat.PeerConn) netip.Prefix {
	return netgroup.Host(netgroup.FromIP(conn.RemoteIP()))
}
