package conduct

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// An ID, and the host that it connects from, collect points for what no honest node does, or
// does not do often. Points fade by one a second. At MaxPoints the ID or host is refused for
// a time that doubles with each refusal, and the points begin anew.
const (
	MaxPoints = 100
	// ViolationPoints are for a connection that ends because the remote broke the protocol
	// (compat.ErrViolation).
	ViolationPoints = MaxPoints
	// WrongAddrPoints are for an address at which another node answers than the one that
	// the peer has told. They count against the peer's hints only.
	WrongAddrPoints = 10
	// ConnPoints are for an inbound connection, and for a session on one that another session
	// has left. About ten in a row are free, and one every 10 s after that. A session of
	// UsefulUptime clears the host.
	ConnPoints = 10
	// RefusedPoints are for an inbound connection while no slot is left for it. TM2 nodes
	// dial a full node again with each answer of discovery, every 3 s, and several of them
	// may share an IP. A bridge gets them where a node that it presents gets ConnPoints.
	RefusedPoints = 1
	// FlapPoints are for the widest network of a peer that took the place of another one and
	// left within UsefulUptime: so many that two peers who follow each other have its network
	// refused, although one point fades each second. A refused network evicts nobody for that time.
	FlapPoints = 80

	// UsefulUptime is how long a session must have lasted to count as useful.
	UsefulUptime = time.Minute

	// FirstRefusal is how long go-ethereum lets an IP wait. A node that keeps starting and
	// failing is admitted again within MaxRefusal of its repair.
	FirstRefusal = 30 * time.Second
	MaxRefusal   = 32 * FirstRefusal

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
	if r.points < MaxPoints {
		return 0
	}
	r.wait = min(max(2*r.wait, FirstRefusal), MaxRefusal)
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

// Book remembers how peers have behaved. It knows no exemptions; its callers apply them.
// All methods may be called concurrently.
type Book struct {
	mtx   sync.Mutex
	ids   ledger[types.ID]
	hosts ledger[netip.Prefix] // and networks, for FlapPoints
	// sources are peers whose hints have led to other nodes.
	sources ledger[types.ID]
}

// New returns a book without records.
func New() *Book {
	return &Book{
		ids: make(ledger[types.ID]), hosts: make(ledger[netip.Prefix]), sources: make(ledger[types.ID]),
	}
}

// Refusal returns why the ID or the host is refused, or nil. Neither is asked about if it has
// no value.
func (b *Book) Refusal(id types.ID, host netip.Prefix) error {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()
	err := b.ids.refusal(id, now)
	if err == nil {
		err = b.hosts.refusal(host, now)
	}

	return err
}

// Charge adds points to an ID and a host, and returns how long one of them is refused now.
func (b *Book) Charge(id types.ID, host netip.Prefix, points float64, reason error) (wait time.Duration) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()
	if id != "" {
		wait = b.ids.charge(id, points, reason, now)
	}
	if host.IsValid() {
		wait = max(wait, b.hosts.charge(host, points, reason, now))
	}

	return wait
}

// ChargeSource adds WrongAddrPoints to a source of hints, and returns how long its hints are
// not dialed now.
func (b *Book) ChargeSource(id types.ID, reason error) time.Duration {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return b.sources.charge(id, WrongAddrPoints, reason, time.Now())
}

// Distrusts reports whether the hints of the source are not dialed.
func (b *Book) Distrusts(id types.ID) bool {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return b.sources.refusal(id, time.Now()) != nil
}

// Pardon forgets what a host has done.
func (b *Book) Pardon(host netip.Prefix) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	delete(b.hosts, host)
}

// Refund takes points of a host back, for something that was not its fault.
func (b *Book) Refund(host netip.Prefix, points float64) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	if r := b.hosts[host]; r != nil {
		r.points = max(0, r.points-points)
	}
}

// ErrManyConns is the reason for refusing a host that has collected ConnPoints or RefusedPoints.
var ErrManyConns = errors.New("too many connections that end without a session of a minute (allow_duplicate_ip)")
