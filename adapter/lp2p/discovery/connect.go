package discovery

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// toldAddrTTL is how long the host may keep hints about a peer while the peer is
// dialed.
const toldAddrTTL = time.Minute

// unverifiedTimeout bounds the dial of a peer that has not answered within aliveTTL and
// is no bootstrap peer. A lookup asks three peers at a time, so addresses where nothing
// answers must not use up its time.
const unverifiedTimeout = 2 * time.Second

// connect dials the peer at the addresses that it announces and at its hints, and
// returns the connection.
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
	if !l.d.records.isAlive(p, time.Now()) && !l.d.isBootstrap(p) {
		var cancel context.CancelFunc
		dialing, cancel = context.WithTimeout(ctx, unverifiedTimeout)
		defer cancel()
	}
	hints := l.d.tryHints(p)
	told := l.aim(p, l.d.multiaddrs(ctx, p, hints))
	conn, release, err := l.d.t.Connect(dialing, p)
	l.forget(p, told, conn)
	switch {
	case err == nil:
		l.d.noteConn(conn)
	case ctx.Err() == nil && compat.ClassifyDial(err) != compat.DialLocal:
		l.d.noteAbsent(p, hints, err)
	}

	return conn, release, err
}

// aim removes from the host the addresses that may not be dialed, and adds the hints.
// It returns the hints that the host did not have. A peer can announce any address, and
// must not make this node connect to its own private network.
func (l *pool) aim(p peer.ID, hints []multiaddr.Multiaddr) (told []multiaddr.Multiaddr) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	l.connecting[p]++
	store := l.d.t.Host().Peerstore()
	announced := store.Addrs(p)
	passed := l.d.filter.filter(announced)
	for _, a := range announced {
		if !slices.ContainsFunc(passed, a.Equal) && !l.d.isConfigured(p, a) && !isCircuit(a) {
			store.SetAddr(p, a, 0)
		}
	}
	for _, a := range hints {
		if !slices.ContainsFunc(announced, a.Equal) {
			told = append(told, a)
		}
	}
	store.AddAddrs(p, told, toldAddrTTL)

	return told
}

// forget removes the hints from the host again, except the address where the peer was
// found: identify has not announced anything yet on a new connection.
func (l *pool) forget(p peer.ID, told []multiaddr.Multiaddr, found network.Conn) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	for _, a := range told {
		if found == nil || !a.Equal(found.RemoteMultiaddr()) {
			l.d.t.Host().Peerstore().SetAddr(p, a, 0)
		}
	}
	uncount(l.connecting, p)
}

// isCircuit reports whether the address leads over a relay, which the transport
// uses for sessions only.
func isCircuit(a multiaddr.Multiaddr) bool {
	return slices.ContainsFunc(a, func(c multiaddr.Component) bool { return c.Code() == multiaddr.P_CIRCUIT })
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
