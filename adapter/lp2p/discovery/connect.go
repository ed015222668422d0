package discovery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// hearsayTTL is for how long the host may keep what others say of a peer that is
// being dialed.
const hearsayTTL = time.Minute

// hearsayTimeout bounds the dial of a peer that has not answered of late, and is no
// bootstrap peer. A lookup asks three at a time: one who names silent addresses must
// not use it up.
const hearsayTimeout = 2 * time.Second

// connect returns a connection to the peer, dialed where it says that it is, or
// others say.
func (l *pool) connect(ctx context.Context, p peer.ID) (network.Conn, func(), error) {
	h := l.d.t.Host()
	if h.Network().Connectedness(p) == network.Connected {
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
	if !l.d.book.isAlive(p, time.Now()) && !l.isGiven(p) {
		var cancel context.CancelFunc
		dialing, cancel = context.WithTimeout(ctx, hearsayTimeout)
		defer cancel()
	}
	hints := l.d.book.try(p, time.Now())
	hearsay := l.aim(p, hints)
	conn, release, err := l.d.t.Connect(dialing, p)
	l.forget(p, hearsay, conn)
	switch {
	case err == nil:
		l.d.noteConn(p, conn)
	case ctx.Err() == nil && compat.ClassifyDial(err) != compat.DialLocal:
		l.d.noteStrangers(err)
		l.d.book.absent(p, hints, time.Now())
	}

	return conn, release, err
}

// aim reduces what the host would dial to addresses that may be dialed, and adds
// the hints; it returns those that the host did not have. A peer can announce what
// it likes: a node that is reached from everywhere must not be made to connect to its
// own network.
func (l *pool) aim(p peer.ID, hints []multiaddr.Multiaddr) (hearsay []multiaddr.Multiaddr) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	l.connecting[p]++
	store := l.d.t.Host().Peerstore()
	announced := store.Addrs(p)
	passed := l.d.filter.filter(announced)
	for _, a := range announced {
		if !slices.ContainsFunc(passed, a.Equal) && !slices.ContainsFunc(l.given[p], a.Equal) && !isCircuit(a) {
			store.SetAddr(p, a, 0)
		}
	}
	for _, a := range hints {
		if !slices.ContainsFunc(announced, a.Equal) {
			hearsay = append(hearsay, a)
		}
	}
	store.AddAddrs(p, hearsay, hearsayTTL)

	return hearsay
}

// forget takes what others say of the peer out of the host again, except where the
// peer was found. On a new connection identify has not told anything yet.
func (l *pool) forget(p peer.ID, hearsay []multiaddr.Multiaddr, found network.Conn) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	for _, a := range hearsay {
		if found == nil || !a.Equal(found.RemoteMultiaddr()) {
			l.d.t.Host().Peerstore().SetAddr(p, a, 0)
		}
	}
	if l.connecting[p]--; l.connecting[p] == 0 {
		delete(l.connecting, p)
	}
}

// isCircuit reports whether the address leads over a relay, which the transport
// uses for sessions only.
func isCircuit(a multiaddr.Multiaddr) bool {
	return slices.ContainsFunc(a, func(c multiaddr.Component) bool { return c.Code() == multiaddr.P_CIRCUIT })
}

// addrsOf returns the addresses that the host has of the peer, none while some of
// them may be what others have told.
func (l *pool) addrsOf(p peer.ID) []multiaddr.Multiaddr {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	if l.connecting[p] > 0 {
		return nil
	}

	return l.d.t.Host().Peerstore().Addrs(p)
}

// give notes where the operator says that a bootstrap peer is: there it is dialed,
// whatever that address is.
func (l *pool) give(info peer.AddrInfo) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	l.given[info.ID] = info.Addrs
}

// isGiven reports whether the operator says where the peer is.
func (l *pool) isGiven(p peer.ID) bool {
	l.mtx.Lock()
	defer l.mtx.Unlock()

	return l.given[p] != nil
}

// noteConn notes where a peer was found.
func (d *Discovery) noteConn(p peer.ID, conn network.Conn) {
	if conn.Stat().Direction != network.DirOutbound {
		return
	}
	if at, ok := d.filter.parse(conn.RemoteMultiaddr()); ok {
		d.book.found(at, p, time.Now())
	}
}

// noteStrangers notes who was found in the place of the peer that was dialed.
func (d *Discovery) noteStrangers(err error) {
	var dialed *swarm.DialError
	if !errors.As(err, &dialed) {
		return
	}
	for _, attempt := range dialed.DialErrors {
		var other sec.ErrPeerIDMismatch
		at, ok := d.filter.parse(attempt.Address)
		if ok && errors.As(attempt.Cause, &other) {
			d.book.found(at, other.Actual, time.Now())
		}
	}
}
