package adapter_test

import (
	"context"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// lateTransport lets what comes out of Dial and Accept, and what is received, be
// late, so that things meet in every order, and counts what is under way.
type lateTransport struct {
	compat.Transport
	node *node
}

// Dial implements compat.Transport.
func (l *lateTransport) Dial(ctx context.Context, addr types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
	defer l.node.w.busy()()
	conn, err := l.Transport.Dial(ctx, addr, l.behavior(b))
	var late time.Duration
	l.node.w.locked(func() { late = l.node.slowDial })
	wait(late)

	return conn, err
}

// Accept implements compat.Transport.
func (l *lateTransport) Accept(ctx context.Context, b compat.PeerBehavior) (compat.PeerConn, error) {
	conn, err := l.Transport.Accept(ctx, l.behavior(b))
	if err != nil {
		return nil, err
	}
	defer l.node.w.busy()()
	var late time.Duration
	l.node.w.locked(func() {
		late = l.node.slowAccept
		l.node.w.clock++
		l.node.arrivals[conn] = l.node.w.clock
	})
	wait(late)

	return conn, nil
}

func (l *lateTransport) behavior(b compat.PeerBehavior) compat.PeerBehavior {
	return &lateBehavior{PeerBehavior: b, PeerAdmission: b.(compat.PeerAdmission), node: l.node}
}

// lateBehavior is a switch as its transport sees it. What is received is late even
// if the peer was stopped meanwhile.
type lateBehavior struct {
	compat.PeerBehavior
	compat.PeerAdmission
	node *node
}

// Reactors implements compat.PeerBehavior.
func (b *lateBehavior) Reactors() map[byte]compat.Reactor {
	reactors := b.PeerBehavior.Reactors()
	for ch, r := range reactors {
		reactors[ch] = &lateReactor{Reactor: r, node: b.node}
	}

	return reactors
}

type lateReactor struct {
	compat.Reactor
	node *node
}

// Receive implements compat.Reactor.
func (r *lateReactor) Receive(ch byte, p compat.PeerConn, msg []byte) {
	r.node.w.busyFor(r.node.cfg.slowDelivery)
	r.Reactor.Receive(ch, p, msg)
}
