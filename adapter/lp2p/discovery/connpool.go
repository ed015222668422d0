package discovery

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// maxIdle is how many connections are kept without a query. It is enough for one
	// lookup, whose peers are likely to be asked again or dialed by the switch.
	maxIdle = 32
	// idleTimeout is how long an idle connection is kept. For one to a bootstrap peer it
	// is bootstrapTimeout, because every newcomer needs one. That is long enough for the
	// bootstrap peer to verify that this node answers, and to add it to its routing
	// table.
	idleTimeout      = 20 * time.Second
	bootstrapTimeout = 5 * time.Second

	// maxConnecting bounds the connection attempts under way.
	maxConnecting = 16
	// connectRate and connectBurst bound the attempts per second: addresses from the DHT
	// must not make a node flood others.
	connectRate  = 16
	connectBurst = 128
)

// errPoolClosed is returned while discovery stops.
var errPoolClosed = errors.New("discovery is stopping")

// pool holds the connections that queries use. They end soon after the last query
// unless a session uses them, and the end of a session does not close them under a
// query.
type pool struct {
	d       *Discovery
	dialing chan struct{}
	limiter *rate.Limiter

	mtx        sync.Mutex
	closed     bool
	conns      map[peer.ID]*pooled
	connecting map[peer.ID]int // attempts under way
}

type pooled struct {
	conn    network.Conn
	release func()
	users   int
	used    time.Time
}

func newPool(d *Discovery) *pool {
	return &pool{
		d: d, dialing: make(chan struct{}, maxConnecting),
		limiter: rate.NewLimiter(connectRate, connectBurst),
		conns:   make(map[peer.ID]*pooled), connecting: make(map[peer.ID]int),
	}
}

// acquire returns when there is a connection to the peer. The connection stays open
// until the returned function is called, and is idle then.
func (l *pool) acquire(ctx context.Context, p peer.ID) (func(), error) {
	if l.d.unwanted(p) {
		return nil, errUnwanted
	}
	if done := l.reuse(p); done != nil {
		return done, nil
	}
	conn, release, err := l.connect(ctx, p)
	if err != nil {
		return nil, err
	}

	return l.add(p, conn, release)
}

// reuse adds a user to a connection that is held and returns what ends the use. It
// returns nil if there is no such connection.
func (l *pool) reuse(p peer.ID) func() {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	held := l.conns[p]
	if held == nil || held.conn.IsClosed() {
		return nil
	}
	held.users++

	return func() { l.done(held) }
}

// add holds a new connection with one user. It replaces another connection to the same
// peer, which is given back when its last user is done.
func (l *pool) add(p peer.ID, conn network.Conn, release func()) (func(), error) {
	added := &pooled{conn: conn, release: release, users: 1}
	l.mtx.Lock()
	if l.closed {
		l.mtx.Unlock()
		release()

		return nil, errPoolClosed
	}
	former := l.conns[p]
	idle := former != nil && former.users == 0
	l.conns[p] = added
	l.mtx.Unlock()
	if idle {
		former.release()
	}

	return func() { l.done(added) }, nil
}

// done ends one use. A connection that was replaced is given back by its last user.
func (l *pool) done(held *pooled) {
	l.mtx.Lock()
	held.users--
	held.used = time.Now()
	orphan := held.users == 0 && (l.closed || l.conns[held.conn.RemotePeer()] != held)
	excess := l.excess()
	if orphan && l.closed {
		delete(l.conns, held.conn.RemotePeer())
	}
	l.mtx.Unlock()
	if orphan {
		held.release()

		return
	}
	if len(excess) > 0 {
		l.dropIf(func(held *pooled) bool { return slices.Contains(excess, held) })
	}
}

// excess returns the connections that were idle longest if there are more than maxIdle.
// The caller holds the lock.
func (l *pool) excess() []*pooled {
	var idle []*pooled
	for _, held := range l.conns {
		if held.users == 0 {
			idle = append(idle, held)
		}
	}
	slices.SortFunc(idle, func(a, b *pooled) int { return a.used.Compare(b.used) })

	return idle[:max(0, len(idle)-maxIdle)]
}

// dropIf gives back the idle connections that del selects. It calls del under the lock.
// Releasing a connection may wait for a moment.
func (l *pool) dropIf(del func(*pooled) bool) {
	l.mtx.Lock()
	var gone []*pooled
	for p, held := range l.conns {
		if held.users == 0 && del(held) {
			delete(l.conns, p)
			gone = append(gone, held)
		}
	}
	l.mtx.Unlock()
	for _, held := range gone {
		held.release()
	}
}

// expire gives back the connections that were idle for too long.
func (l *pool) expire(now time.Time) {
	l.dropIf(func(held *pooled) bool {
		limit := idleTimeout
		if l.d.isBootstrap(held.conn.RemotePeer()) {
			limit = bootstrapTimeout
		}

		return now.Sub(held.used) >= limit || held.conn.IsClosed()
	})
}

// drop gives back the connection to a peer that is not wanted any more.
func (l *pool) drop(p peer.ID) {
	l.dropIf(func(held *pooled) bool { return held.conn.RemotePeer() == p })
}

// close gives back the idle connections. The others follow when their users are done.
func (l *pool) close() {
	l.mtx.Lock()
	l.closed = true
	l.mtx.Unlock()
	l.dropIf(func(*pooled) bool { return true })
}

// size is the number of connections that are held.
func (l *pool) size() int {
	l.mtx.Lock()
	defer l.mtx.Unlock()

	return len(l.conns)
}
