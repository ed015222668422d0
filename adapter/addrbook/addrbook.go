package addrbook

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// shareAge is how long after its last connection an address is told to
	// others; TM2 holds an address for alive as long.
	shareAge = 24 * time.Hour

	// The wait after a failed dial before the address is due again, doubled with each
	// further failure up to the maximum: peers name dead addresses over and over.
	firstRetry = 10 * time.Second
	maxRetry   = 10 * time.Minute

	// sharedDial is how soon after a failure another one at the address is the same. Two
	// parts of a node that dial it at the same time, as peer exchange and the DHT do when
	// it is due, share one dial of libp2p, and each reports the end.
	sharedDial = time.Second
)

// Book holds the addresses of peers. All methods may be called concurrently; those
// that change the book do not wait for the disk, except Save and Flush.
type Book struct {
	// Not changed once the book is open.
	path     string // empty: in memory only
	self     types.NetAddress
	maxPeers int
	maxHints int
	logger   *slog.Logger
	secret   map[types.ID]struct{} // see WithUnsavedPeers

	saving sync.Mutex // one save at a time; taken before mtx

	mtx       sync.Mutex
	entries   map[types.ID][]*Entry
	peers     map[types.ID]*peer
	private   map[types.ID]struct{}
	endpoints *endpoints // not saved
	unsaved   unsaved
}

// Entry is what the book knows of one address of a peer.
type Entry struct {
	Addr       types.NetAddress
	Configured bool      // the operator names it
	Source     types.ID  // who told it, or Addr.ID if the peer has announced it; empty if unknown
	Seen       time.Time // when it was last told, or answered
	Answered   time.Time // when this node last had a connection that it dialed to there; zero if never
	Advertised bool      // the peer, while it was connected, named an address for others
	Anchor     bool      // see SetAnchors
	Failures   int       // dials that failed since it last answered
	Failed     time.Time // when a dial there failed last, even if the failure was not counted; zero after a restart

	failing   time.Time     // when the first of Failures was; zero if unknown
	failedFor time.Duration // from then to the last of Failures; zero after a restart

	group string // the network of the source, see networkOf
	from  string // the host of the source, see hostOf; empty after a restart

	// Of Addr, since they are compared often.
	key      string // text form
	endpoint string // IP and port
	host     string // see hostOf
	network  string // see networkOf
}

// HasAnswered reports whether the peer has ever answered there.
func (e *Entry) HasAnswered() bool { return !e.Answered.IsZero() }

// Announced reports whether the peer itself has told the address.
func (e *Entry) Announced() bool { return e.Source == e.Addr.ID }

// atHome reports whether the peer has told the address from there.
func (e *Entry) atHome() bool { return e.Announced() && e.from == e.host }

// SourceNetwork is the network of the peer that told the address, an IPv4 /16 or an IPv6
// /32, or that of the address if no peer has. It is empty on a private network.
func (e *Entry) SourceNetwork() string {
	if e.Source == "" {
		return e.network
	}

	return e.group
}

// Due reports whether the last failure is long enough ago for another dial: 10 s,
// doubled with each failure in a row, up to 10 minutes.
func (e *Entry) Due(now time.Time) bool {
	wait := firstRetry
	for range e.Failures - 1 {
		wait = min(2*wait, maxRetry)
	}

	return !now.Before(e.Failed.Add(wait))
}

// Source is the peer that told an address.
type Source struct {
	ID types.ID
	IP net.IP // where it is connected from; nil when unknown
}

// Wants reports whether the book takes addresses of the peer: not of this node,
// and of no private peer.
func (b *Book) Wants(addr *types.NetAddress) bool {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return b.wanted(addr)
}

// wanted is Wants for a caller that holds the lock.
func (b *Book) wanted(addr *types.NetAddress) bool {
	_, private := b.private[addr.ID]

	return !private && !addr.Same(b.self)
}

// entry returns the entry of the address, or nil. The caller holds the lock.
func (b *Book) entry(addr *types.NetAddress) *Entry {
	key := addr.String()
	for _, e := range b.entries[addr.ID] {
		if e.key == key {
			return e
		}
	}

	return nil
}

// take returns the entry of the address, a new one if there is none, or nil if the
// book does not take the address. The caller holds the lock.
func (b *Book) take(addr *types.NetAddress, now time.Time) (e *Entry, isNew bool) {
	if addr == nil || !addr.Dialable() || !b.wanted(addr) {
		return nil, false
	}
	if e = b.entry(addr); e != nil {
		return e, false
	}
	e = newEntry(addr, now)
	b.entries[addr.ID] = append(b.entries[addr.ID], e)
	b.unsaved.changed = true

	return e, true
}

// newEntry copies the address, without the host name, which is for the node's
// own configuration.
func newEntry(addr *types.NetAddress, now time.Time) *Entry {
	e := &Entry{Addr: copyAddr(addr), Seen: now, host: hostOf(addr.IP), network: networkOf(addr.IP)}
	e.key, e.endpoint = e.Addr.String(), e.Addr.DialString()

	return e
}

func copyAddr(addr *types.NetAddress) types.NetAddress {
	return types.NetAddress{ID: addr.ID, IP: slices.Clone(addr.IP), Port: addr.Port}
}

// Configure notes where the operator says that the peer is, in place of what an
// earlier call has said. Addresses without an IP are skipped: a host name is looked up
// at each dial.
func (b *Book) Configure(id types.ID, addrs ...types.NetAddress) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	for _, e := range b.entries[id] {
		e.Configured = false
	}
	for i := range addrs {
		if addrs[i].ID != id {
			continue
		}
		if e, _ := b.take(&addrs[i], time.Now()); e != nil {
			e.Configured = true
		}
	}
	b.trim()
}

// Add keeps addresses that the source has told, and returns how many of them were new
// and found a place. Skipped are addresses that cannot be dialed, those of this node and
// of private peers, and those at which another peer has just answered. A known address is
// only noted as seen, and as announced if the source is the peer itself. Where a limit is
// exceeded, the entries that are worth least are dropped.
func (b *Book) Add(source Source, addrs ...*types.NetAddress) int {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()
	group := networkOf(source.IP)
	var fresh []*types.NetAddress
	for _, addr := range addrs {
		if b.endpoints.isTaken(addr, now) {
			continue
		}
		e, isNew := b.take(addr, now)
		if e == nil {
			continue
		}
		if isNew {
			fresh = append(fresh, addr)
		}
		if isNew || source.ID == addr.ID {
			e.Source, e.group, e.from = source.ID, group, hostOf(source.IP)
		}
		e.Seen = now
		b.unsaved.renewed = true
	}
	if len(fresh) == 0 {
		return 0
	}
	b.trim()
	fresh = slices.DeleteFunc(fresh, func(addr *types.NetAddress) bool { return b.entry(addr) == nil })

	return len(fresh)
}

// MarkConnected notes that this node has, or had until now, a connection that it dialed
// to the address. Advertised says whether the peer announces an address to others; if
// not, the address in the book is not shared. An unknown address is added. One that the
// book does not want, or that cannot be dialed, is ignored.
func (b *Book) MarkConnected(addr *types.NetAddress, advertised bool) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	if e := b.answered(addr); e != nil && e.Advertised != advertised {
		e.Advertised, b.unsaved.changed = advertised, true
	}
}

// MarkAnswered is MarkConnected for a transport: the peer has proved its ID at the
// address, on the stack. Whether it wants others to hear of the address is not known.
func (b *Book) MarkAnswered(addr *types.NetAddress, stack types.Stack) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	if b.answered(addr) != nil {
		b.peer(addr.ID).stack = stack
	}
}

// answered notes an answer at the address, and returns its entry, or nil if the book
// does not take the address. The caller holds the lock.
func (b *Book) answered(addr *types.NetAddress) *Entry {
	now := time.Now()
	e, isNew := b.take(addr, now)
	if e == nil {
		return nil
	}
	if !e.HasAnswered() || e.Failures > 0 {
		b.unsaved.changed = true
	}
	b.unsaved.renewed = true
	e.Seen, e.Answered = now, now
	e.Failures, e.Failed, e.failing, e.failedFor = 0, time.Time{}, time.Time{}, 0
	b.endpoints.answered(addr, now)
	if isNew {
		b.trim()
	}

	return e
}

// SetAnchors makes the addresses those that come first, after configured ones, until the next
// call with any. It is for outbound peers that have lasted (see compat.AnchorSource): they are
// dialed first after a restart. An address that the book does not have is ignored.
func (b *Book) SetAnchors(addrs ...types.NetAddress) {
	if len(addrs) == 0 {
		return
	}
	b.mtx.Lock()
	defer b.mtx.Unlock()
	for _, entries := range b.entries {
		for _, e := range entries {
			anchor := slices.ContainsFunc(addrs, func(a types.NetAddress) bool { return a.String() == e.key })
			b.unsaved.changed = b.unsaved.changed || anchor != e.Anchor
			e.Anchor = anchor
		}
	}
}

// MarkFailed notes that the address could not be dialed. Of one that is not known
// it is only remembered that dials to there fail. Failures within a second are one of the
// Entry's Failures, since parts of a node that dial at the same time share the dial.
func (b *Book) MarkFailed(addr *types.NetAddress) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()
	b.endpoints.failed(addr, now)
	b.markFailed(addr, now)
}

// MarkWrongID is MarkFailed for an address at which another peer has answered. For a
// time no other peer is looked for there, see Try. Such failures are no outage: after
// three of them the address is given up, without AllowRelayed even if its peer had answered there.
func (b *Book) MarkWrongID(addr *types.NetAddress, found types.ID) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()
	b.endpoints.foundOther(addr, found, now)
	b.markFailed(addr, now)
	if e := b.entry(addr); e != nil && !b.endpoints.relayed {
		e.failedFor = giveUpTime
	}
}

// AllowRelayed is for a node that dials peers through relays. Such a peer has the IP and
// port of its relay (docs/nat.md), so from now on a peer that answers at an endpoint keeps
// no other out, and finding another one there counts as a failed dial.
func (b *Book) AllowRelayed() {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.endpoints.allowRelayed()
}

// MarkDialFailed notes what the error of a dial says about the address (see
// compat.ClassifyDial). It is MarkWrongID for a *compat.WrongIDError. It does nothing if
// this node ended the dial, or if the peer was there and had no room, was shutting down or
// was connected already. Without a route (compat.IsNoRoute) the address waits for 10 s, and the
// failure does not count. For any other error it is MarkFailed.
func (b *Book) MarkDialFailed(addr *types.NetAddress, err error) {
	switch compat.ClassifyDial(err) {
	case compat.DialLocal, compat.DialBusy, compat.DialDuplicate, compat.DialClosing:
		return
	}
	var wrong *compat.WrongIDError
	switch {
	case errors.As(err, &wrong):
		b.MarkWrongID(addr, cmp.Or(wrong.Found, types.ID(wrong.FoundPeer)))
	case compat.IsNoRoute(err):
		b.postpone(addr)
	default:
		b.MarkFailed(addr)
	}
}

// postpone makes the address wait as after a failure, and takes back a dial that Try has counted.
// While this machine has no uplink all dials fail at once, and counting them would keep the node
// alone long after the uplink is back.
func (b *Book) postpone(addr *types.NetAddress) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()
	b.endpoints.takeBack(addr, now)
	if e := b.entry(addr); e != nil {
		e.Failed = now
	}
}

func (b *Book) markFailed(addr *types.NetAddress, now time.Time) {
	e := b.entry(addr)
	if e == nil || now.Sub(e.Failed) < sharedDial {
		return
	}
	if e.failing.IsZero() {
		e.failing = now
	}
	e.Failures = min(e.Failures+1, maxFailures)
	e.Failed, e.failedFor = now, max(e.failedFor, now.Sub(e.failing))
	b.unsaved.renewed = true
}

// IsPrivate reports whether the peer was named by WithPrivatePeers or MarkPrivate.
func (b *Book) IsPrivate(id types.ID) bool {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	_, private := b.private[id]

	return private
}

// MarkPrivate removes the peer's addresses; from now on the book takes none.
func (b *Book) MarkPrivate(id types.ID) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.private[id] = struct{}{}
	b.unsaved.changed = b.unsaved.changed || b.entries[id] != nil
	delete(b.entries, id)
}

// Of returns what the book knows of the peer's addresses, the most promising first, in
// the order of Addresses. The slice and what it points to are the caller's.
func (b *Book) Of(id types.ID) []Entry {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	slices.SortFunc(b.entries[id], better)

	return copies(b.entries[id])
}

// Entries is Of for all peers.
func (b *Book) Entries() []Entry {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return copies(b.sorted())
}

func copies(entries []*Entry) []Entry {
	var known []Entry
	for _, e := range entries {
		known = append(known, *e)
		known[len(known)-1].Addr = copyAddr(&e.Addr)
	}

	return known
}

// Addresses returns all addresses, the most promising first: configured ones, anchors, those
// connected most recently, then those announced from their own host, then other announced
// ones and told ones, those seen most recently first, then those that are given up. The slice and
// what it points to are the caller's.
func (b *Book) Addresses() []*types.NetAddress {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return addresses(b.sorted())
}

// Self returns the address of this node that the book was opened with.
func (b *Book) Self() types.NetAddress { return copyAddr(&b.self) }

// Size returns the number of addresses.
func (b *Book) Size() int {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return b.size()
}

func (b *Book) size() (n int) {
	for _, entries := range b.entries {
		n += len(entries)
	}

	return n
}

// Shareable are the addresses that others may be told: answered not long ago, not
// failed since, and of peers that want to be found.
func (b *Book) Shareable() []*types.NetAddress {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()

	return addresses(slices.DeleteFunc(b.sorted(), func(e *Entry) bool {
		return now.Sub(e.Answered) > shareAge || e.Failures > 0 || !e.Advertised
	}))
}

// Dialable removes, in place, addresses that are not in the book, are not due, or have
// never answered and are at an endpoint with too many failed dials (see Try).
func (b *Book) Dialable(addrs []*types.NetAddress) []*types.NetAddress {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()

	return slices.DeleteFunc(addrs, func(addr *types.NetAddress) bool {
		e := b.entry(addr)

		return e == nil || !e.Due(now) || !e.HasAnswered() && !b.endpoints.may(addr, now)
	})
}

// Try reports whether a dial may look for the peer at an IP and port where it has not
// answered. It counts the dial as failed until MarkConnected or MarkAnswered, or until
// MarkDialFailed with an error that says that there is no route. The answer is no after
// three failed dials there, or 16 at the host, within 10 minutes, for any IDs. It is also no
// for 10 minutes after another peer has answered there.
func (b *Book) Try(addr *types.NetAddress) bool {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return b.endpoints.try(addr, time.Now())
}

func addresses(entries []*Entry) []*types.NetAddress {
	addrs := make([]*types.NetAddress, 0, len(entries))
	for _, e := range entries {
		addr := copyAddr(&e.Addr)
		addrs = append(addrs, &addr)
	}

	return addrs
}
