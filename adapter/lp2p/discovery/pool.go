package discovery

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
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

	// unverifiedTimeout bounds the dial of a peer that has not answered within aliveTTL
	// and is no bootstrap peer. A lookup asks three peers at a time, so addresses where
	// nothing answers must not use up its time.
	unverifiedTimeout = 2 * time.Second

	// hintedAddrTTL is how long the host may keep hints about a peer while the peer is
	// dialed.
	hintedAddrTTL = time.Minute
)

// errPoolClosed is returned while discovery stops.
var errPoolClosed = errors.New("discovery is stopping")

// pool holds the connections that queries use, each for one query at a time. After it
// they are idle, and end soon unless a session or another query uses them.
type pool struct {
	d       *Discovery
	dialing chan struct{}
	limiter *rate.Limiter

	mtx        sync.Mutex
	closed     bool
	using      int // connections in use
	idle       map[peer.ID]held
	connecting map[peer.ID]int // attempts under way
}

// held is a connection that stays open until release.
type held struct {
	conn    network.Conn
	release func()
	since   time.Time // idle
}

func newPool(d *Discovery) *pool {
	return &pool{
		d: d, dialing: make(chan struct{}, maxConnecting),
		limiter: rate.NewLimiter(connectRate, connectBurst),
		idle:    make(map[peer.ID]held), connecting: make(map[peer.ID]int),
	}
}

// acquire returns when there is a connection to the peer. The connection stays open
// until the returned function is called, and is idle then.
func (l *pool) acquire(ctx context.Context, p peer.ID) (done func(), err error) {
	if l.d.unwanted(p) {
		return nil, errUnwanted
	}
	l.mtx.Lock()
	h, idle := l.idle[p]
	delete(l.idle, p)
	l.mtx.Unlock()
	if idle && h.conn.IsClosed() {
		h.release()
		idle = false
	}
	if !idle {
		if h.conn, h.release, err = l.connect(ctx, p); err != nil {
			return nil, err
		}
	}
	l.mtx.Lock()
	closed := l.closed
	if !closed {
		l.using++
	}
	l.mtx.Unlock()
	if closed {
		h.release()

		return nil, errPoolClosed
	}

	return func() { l.done(h) }, nil
}

// stream has use ask the peer on a stream of its own, which ctx ends, and returns the
// connection on which that was done. It tries again if the connection is lost: a session
// may have ended on it, which closes it.
func (l *pool) stream(
	ctx context.Context, p peer.ID, id protocol.ID, use func(network.Stream) error,
) (conn network.Conn, err error) {
	conn, err = l.tryStream(ctx, p, id, use)
	if stream.IsLost(err) && ctx.Err() == nil {
		conn, err = l.tryStream(ctx, p, id, use)
	}

	return conn, err
}

func (l *pool) tryStream(
	ctx context.Context, p peer.ID, id protocol.ID, use func(network.Stream) error,
) (network.Conn, error) {
	done, err := l.acquire(ctx, p)
	if err != nil {
		return nil, err
	}
	defer done()
	st, err := stream.OpenTo(ctx, l.d.t.Host(), p, id)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })() // ends what waits on it
	if err := use(st); err != nil {
		_ = st.Reset() // it has failed already

		return nil, err
	}
	_ = st.Close() // both sides are done

	return st.Conn(), nil
}

// done makes a connection idle. It gives back another idle one to the peer, and the one
// that was idle longest if there are more than maxIdle.
func (l *pool) done(h held) {
	var gone []held
	p := h.conn.RemotePeer()
	h.since = time.Now()
	l.mtx.Lock()
	l.using--
	if former, ok := l.idle[p]; ok {
		gone = append(gone, former)
	}
	if l.closed {
		gone = append(gone, h)
	} else {
		l.idle[p] = h
	}
	if len(l.idle) > maxIdle {
		oldest := slices.MinFunc(slices.Collect(maps.Values(l.idle)), func(a, b held) int { return a.since.Compare(b.since) })
		delete(l.idle, oldest.conn.RemotePeer())
		gone = append(gone, oldest)
	}
	l.mtx.Unlock()
	for _, h := range gone {
		h.release()
	}
}

// dropIf gives back the idle connections that del selects. It calls del under the lock.
// Releasing a connection may wait for a moment.
func (l *pool) dropIf(del func(held) bool) {
	l.mtx.Lock()
	var gone []held
	for p, h := range l.idle {
		if del(h) {
			delete(l.idle, p)
			gone = append(gone, h)
		}
	}
	l.mtx.Unlock()
	for _, h := range gone {
		h.release()
	}
}

// expire gives back the connections that were idle for too long.
func (l *pool) expire(now time.Time) {
	l.dropIf(func(h held) bool {
		limit := idleTimeout
		if l.d.isConfigured(h.conn.RemotePeer()) {
			limit = bootstrapTimeout
		}

		return now.Sub(h.since) >= limit || h.conn.IsClosed()
	})
}

// close gives back the idle connections. The others follow when their users are done.
func (l *pool) close() {
	l.mtx.Lock()
	l.closed = true
	l.mtx.Unlock()
	l.dropIf(func(held) bool { return true })
}

// size is the number of connections that are held.
func (l *pool) size() int {
	l.mtx.Lock()
	defer l.mtx.Unlock()

	return l.using + len(l.idle)
}

// connect dials the peer at the addresses that it announces and at its hints, and
// returns the connection.
func (l *pool) connect(ctx context.Context, p peer.ID) (network.Conn, func(), error) {
	if l.d.connected(p) {
		return l.d.t.Connect(ctx, p)
	}
	select {
	case l.dialing <- struct{}{}:
		defer func() { <-l.dialing }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if err := l.limiter.Wait(ctx); err != nil {
		return nil, nil, err
	}
	dialing := ctx
	if !l.d.records.isAlive(p, time.Now()) && !l.d.isConfigured(p) {
		var cancel context.CancelFunc
		dialing, cancel = context.WithTimeout(ctx, unverifiedTimeout)
		defer cancel()
	}
	hints := l.d.tryHints(p)
	forget := l.aim(p, hints)
	conn, release, err := l.d.t.Connect(dialing, p)
	forget(conn)
	switch {
	case err == nil:
		l.d.noteConn(conn)
	case compat.IsNoRoute(err):
		l.d.noteNoRoute(hints, err)
	case ctx.Err() == nil && compat.ClassifyDial(err) != compat.DialLocal:
		l.d.noteAbsent(p, hints, err)
	}

	return conn, release, err
}

// aim removes from the host the addresses that may not be dialed, and adds the hints until
// forget is called. The address where the peer was found stays: identify may not have
// announced anything yet on a new connection. A peer can announce any address, and must not make this node connect
// to its own private network. It is dialed where the operator has configured it even if
// the filter would drop the address.
func (l *pool) aim(p peer.ID, hints []types.NetAddress) (forget func(found network.Conn)) {
	l.mtx.Lock()
	l.connecting[p]++
	l.mtx.Unlock()
	store := l.d.t.Host().Peerstore()
	announced := store.Addrs(p)
	allowed := l.d.filter.filter(announced)
	for _, e := range l.d.knownOf(p) {
		if e.Configured {
			allowed = append(allowed, l.d.t.DialAddrs(e.Addr)...)
		}
	}
	for _, a := range announced {
		_, direct := a.ValueForProtocol(multiaddr.P_CIRCUIT) // relays are for sessions only
		if direct != nil && !multiaddr.Contains(allowed, a) {
			store.SetAddr(p, a, 0)
		}
	}
	var hinted []multiaddr.Multiaddr
	for _, addr := range hints {
		hinted = append(hinted, l.d.t.DialAddrs(addr)...)
	}
	hinted = multiaddr.FilterAddrs(hinted, func(a multiaddr.Multiaddr) bool { return !multiaddr.Contains(announced, a) })
	store.AddAddrs(p, hinted, hintedAddrTTL)

	return func(found network.Conn) {
		store.SetAddrs(p, multiaddr.FilterAddrs(hinted, func(a multiaddr.Multiaddr) bool {
			return found == nil || !a.Equal(found.RemoteMultiaddr())
		}), 0)
		l.mtx.Lock()
		defer l.mtx.Unlock()
		if l.connecting[p]--; l.connecting[p] == 0 {
			delete(l.connecting, p)
		}
	}
}

// addrsOf returns the addresses that the host has of the peer. It returns none while
// hints may be among them.
func (l *pool) addrsOf(p peer.ID) []multiaddr.Multiaddr {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	if l.connecting[p] > 0 {
		return nil
	}

	return l.d.t.Host().Peerstore().Addrs(p)
}
