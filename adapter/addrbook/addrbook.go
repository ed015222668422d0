package addrbook

import (
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// shareAge is how long after its last connection an address is told to
	// others; TM2 holds an address for alive as long.
	shareAge = 24 * time.Hour

	// The wait after a failed dial before a hint or the book leads to the next
	// one, doubled with each further failure up to the maximum: peers name dead
	// addresses over and over.
	firstRetry = 10 * time.Second
	maxRetry   = 10 * time.Minute
)

// AddrBook holds the addresses of peers. Some are verified: this node has dialed
// them and found the peer there. The others are hints. All methods may be called
// concurrently; those that change the book do not wait for the disk, except Save
// and Flush.
type AddrBook struct {
	// Not changed once the book is open.
	path     string // empty: in memory only
	self     types.NetAddress
	maxPeers int
	logger   *slog.Logger

	saving sync.Mutex // one save at a time; taken before mtx

	mtx     sync.Mutex
	entries map[string]*entry // by text form
	private map[types.ID]struct{}
	failed  *failures // not saved
	unsaved unsaved
}

// entry is what the book knows of one address.
type entry struct {
	addr          types.NetAddress
	key           string    // the text form of addr
	lastSeen      time.Time // when a peer last told it, or it was connected
	lastConnected time.Time // zero for a hint
	advertised    bool      // the peer there wants to be found
	failures      int       // dials that failed since it was last connected
	lastFailed    time.Time // zero after a restart
	source        types.ID  // who told it first
	group         string    // the network of the source, see networkOf
}

func (e *entry) verified() bool { return !e.lastConnected.IsZero() }

// Source is who told an address.
type Source struct {
	ID types.ID
	IP net.IP // where it is connected from; nil when unknown
}

// Wants reports whether the book takes addresses of the peer: not of this node,
// and of no private peer.
func (b *AddrBook) Wants(addr *types.NetAddress) bool {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return b.wanted(addr)
}

// wanted is wants for a caller that holds the lock.
func (b *AddrBook) wanted(addr *types.NetAddress) bool {
	_, private := b.private[addr.ID]

	return !private && !addr.Same(b.self)
}

// Add keeps addresses that a peer has told, as hints, and returns how many of
// them were new and found a place. Skipped are addresses that cannot be dialed,
// those of this node and of private peers. An address that is known is only noted
// as seen. Where a limit is exceeded the entries that are worth least give way.
func (b *AddrBook) Add(source Source, addrs ...*types.NetAddress) int {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()
	fresh := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		if addr == nil || !addr.Dialable() || !b.wanted(addr) {
			continue
		}
		key := addr.String()
		if e := b.entries[key]; e != nil {
			e.lastSeen = now
			b.unsaved.renewed = true

			continue
		}
		e := newEntry(addr, now)
		e.source, e.group = source.ID, networkOf(source.IP)
		b.entries[key] = e
		fresh = append(fresh, key)
	}
	if len(fresh) == 0 {
		return 0
	}
	b.trim()
	b.unsaved.changed = true
	fresh = slices.DeleteFunc(fresh, func(key string) bool { return b.entries[key] == nil })

	return len(fresh)
}

// newEntry copies the address, without the host name, which is for the node's
// own configuration.
func newEntry(addr *types.NetAddress, now time.Time) *entry {
	e := &entry{addr: copyAddr(addr), lastSeen: now}
	e.key = e.addr.String()

	return e
}

func copyAddr(addr *types.NetAddress) types.NetAddress {
	return types.NetAddress{ID: addr.ID, IP: slices.Clone(addr.IP), Port: addr.Port}
}

// MarkConnected notes that this node has, or had until now, a connection that it
// dialed to the address. Advertised says whether the peer tells others of an
// address too: if not, the book's is not told to anybody. An address that is not
// known is added; one that the book does not want, or that cannot be dialed, is
// ignored.
func (b *AddrBook) MarkConnected(addr *types.NetAddress, advertised bool) {
	if addr == nil || !addr.Dialable() {
		return
	}
	b.mtx.Lock()
	defer b.mtx.Unlock()
	if !b.wanted(addr) {
		return
	}
	now := time.Now()
	e := b.entries[addr.String()]
	if e == nil {
		e = newEntry(addr, now)
		b.entries[e.key] = e
	}
	if !e.verified() || e.advertised != advertised || e.failures > 0 {
		b.unsaved.changed = true
	}
	b.unsaved.renewed = true
	e.lastSeen, e.lastConnected = now, now
	e.advertised, e.failures, e.lastFailed = advertised, 0, time.Time{}
	b.trim()
}

// MarkFailed notes that the address could not be dialed. Of one that is not known
// it is only remembered that dials to there fail.
func (b *AddrBook) MarkFailed(addr *types.NetAddress) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()
	b.failed.note(addr, now)
	e := b.entries[addr.String()]
	if e == nil {
		return
	}
	e.failures = min(e.failures+1, maxFailures)
	e.lastFailed = now
	b.unsaved.renewed = true
}

// MarkPrivate removes the peer's addresses; from now on the book takes none.
func (b *AddrBook) MarkPrivate(id types.ID) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.private[id] = struct{}{}
	for key, e := range b.entries {
		if e.addr.ID == id {
			delete(b.entries, key)
			b.unsaved.changed = true
		}
	}
}

// Addresses returns all addresses, the most promising first: those connected most
// recently, then hints, those seen most recently first, then those that fail. The
// slice and what it points to are the caller's.
func (b *AddrBook) Addresses() []*types.NetAddress {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return addresses(b.sorted())
}

// Self returns the address of this node that the book was opened with.
func (b *AddrBook) Self() types.NetAddress { return copyAddr(&b.self) }

// Size returns the number of addresses.
func (b *AddrBook) Size() int {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return len(b.entries)
}

// Shareable are the addresses that others may be told: verified not long ago, not
// failed since, and of peers that want to be found.
func (b *AddrBook) Shareable() []*types.NetAddress {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()

	return addresses(slices.DeleteFunc(b.sorted(), func(e *entry) bool {
		return now.Sub(e.lastConnected) > shareAge || e.failures > 0 || !e.advertised
	}))
}

// Dialable drops, in place, the addresses that the book has not kept, those that
// have failed too recently, and hints to where too many dials have failed.
func (b *AddrBook) Dialable(addrs []*types.NetAddress) []*types.NetAddress {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()

	return slices.DeleteFunc(addrs, func(addr *types.NetAddress) bool {
		e := b.entries[addr.String()]

		return e == nil ||
			e.failures > 0 && now.Before(e.lastFailed.Add(retryWait(e.failures))) ||
			!e.verified() && b.failed.tooMany(addr, now)
	})
}

// retryWait is the wait after the given number of failures.
func retryWait(failures int) time.Duration {
	wait := firstRetry
	for range failures - 1 {
		wait = min(2*wait, maxRetry)
	}

	return wait
}

func addresses(entries []*entry) []*types.NetAddress {
	addrs := make([]*types.NetAddress, 0, len(entries))
	for _, e := range entries {
		addr := copyAddr(&e.addr)
		addrs = append(addrs, &addr)
	}

	return addrs
}
