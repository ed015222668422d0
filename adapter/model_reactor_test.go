package adapter_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// Each node has two reactors: one with the channel for messages to one peer, and
// one with those for broadcasts and for messages that wait for a place.
const (
	numReactors = 2

	chDirect    = byte(0x20)
	chBroadcast = byte(0x21)
	chWait      = byte(0x22)
)

var errEnough = errors.New("enough")

// phase is how far a connection has come with a reactor.
type phase int

const (
	unknown phase = iota
	initialised
	known
	removed
)

// end is one end of a connection, as the reactors of its node know it. The lock
// of the world guards it.
type end struct {
	node     *node
	remote   int // index
	outbound bool
	peer     compat.PeerConn // what the reactors are to call it
	token    int             // begins each message to the other end, so that it knows this one

	phases    [numReactors]phase
	added     int  // the clock of the world when the last reactor added it
	abandoned bool // an InitPeer panicked
	doomed    bool // it was stopped, or a reactor panicked: it must go
	receiving int

	sent, got   map[byte]int // messages, by channel
	waiting     bool         // a message waits for a place
	other       int          // token of the other end; 0: nothing has come from it
	broadcasts  int          // of the node when AddPeer returned
	first, next int          // broadcasts that have come: [first, next)
}

// String names the end in histories.
func (e *end) String() string {
	way := "from"
	if e.outbound {
		way = "to"
	}

	return fmt.Sprintf("%d %s %d (#%d)", e.node.index, way, e.remote, e.token)
}

// in reports whether the reactor has the peer.
func (e *end) in(r int) bool { return e.phases[r] == initialised || e.phases[r] == known }

// endKey is where the end is kept with its peer, as a reactor keeps its state.
const endKey = "end"

func endOf(p compat.PeerConn) *end {
	e, _ := p.Get(endKey).(*end)

	return e
}

// wrapped is a peer as a reactor may return it from InitPeer, and as slow as a
// stack may be.
type wrapped struct {
	compat.PeerConn
	node *node
}

func (p *wrapped) Start() error {
	err := p.PeerConn.Start()
	p.node.takeTime()

	return err
}

func (p *wrapped) Send(ch byte, msg []byte) bool {
	p.node.w.busyFor(p.node.cfg.slowCalls)

	return p.PeerConn.Send(ch, msg)
}

// reactor holds the switch to the order of its calls.
type reactor struct {
	compat.BaseReactor
	node  *node
	index int
}

func newReactor(n *node, index int) *reactor {
	r := &reactor{node: n, index: index}
	r.BaseReactor = *compat.NewBaseReactor(fmt.Sprint("reactor ", index), r)

	return r
}

func (r *reactor) GetChannels() []*compat.ChannelDescriptor {
	if r.index == 0 {
		return []*compat.ChannelDescriptor{{ID: chDirect, Priority: 1, SendQueueCapacity: 10}}
	}

	return []*compat.ChannelDescriptor{
		{ID: chBroadcast, Priority: 2, SendQueueCapacity: 1}, {ID: chWait, Priority: 1, SendQueueCapacity: 1},
	}
}

// OnStop checks that the peers are gone before the reactors, but for those whose
// Receive has not returned.
func (r *reactor) OnStop() {
	r.node.w.locked(func() {
		for _, e := range r.node.ends {
			r.node.w.expect(!e.in(r.index) || r.node.gaveUp(), "reactor %d of %d stops before %s is removed", r.index, r.node.index, e)
		}
	})
}

func (r *reactor) InitPeer(p compat.PeerConn) compat.PeerConn {
	panics := false
	r.node.w.locked(func() {
		e := endOf(p)
		if r.index == 0 {
			r.node.w.expect(e == nil, "a new connection of %d has values of a former one", r.node.index)
			e = r.node.newEnd(p)
		}
		r.checkInit(e, p)
		panics = r.node.takePanic(stepPanicInit, r.index)
		if panics {
			e.abandoned = true

			return
		}
		e.phases[r.index] = initialised
		if r.index == 0 && r.node.cfg.wraps {
			e.peer = &wrapped{PeerConn: p, node: r.node}
		}
		p = e.peer
	})
	r.node.takeTime()
	if panics {
		panic(errEnough)
	}

	return p
}

func (r *reactor) checkInit(e *end, p compat.PeerConn) {
	w, cfg := r.node.w, r.node.cfg
	w.note("%s: InitPeer %d", e, r.index)
	w.expect(!r.node.closed, "InitPeer of %s after the node was stopped", e)
	w.expect(r.IsRunning(), "InitPeer of %s by a reactor that does not run", e)
	w.expect(e.phases[r.index] == unknown, "InitPeer of %s twice", e)
	w.expect(r.index == 0 || e.phases[r.index-1] == initialised, "InitPeer of %s out of order", e)
	w.expect(p == e.peer, "InitPeer of %s with another PeerConn than the last one returned", e)
	w.expect(p.IsPersistent() == contains(cfg.persistent, e.remote), "%s: IsPersistent", e)
	w.expect(p.IsPrivate() == contains(cfg.private, e.remote), "%s: IsPrivate", e)
	w.expect(!p.IsRunning(), "InitPeer of %s, which runs", e)
	for _, former := range r.node.ends {
		w.expect(former == e || former.remote != e.remote || !former.in(r.index), "InitPeer of %s before RemovePeer of %s", e, former)
	}
	if r.index == 0 {
		r.node.checkHost(e, r.node.arrivals[p])
	}
}

func (r *reactor) AddPeer(p compat.PeerConn) {
	e := endOf(p)
	panics := false
	r.node.w.locked(func() {
		w := r.node.w
		w.note("%s: AddPeer %d", e, r.index)
		w.expect(e.phases[r.index] == initialised && !e.abandoned, "AddPeer of %s out of order", e)
		w.expect(r.index == 0 || e.phases[r.index-1] == known, "AddPeer of %s to reactor %d first", e, r.index)
		w.expect(p == e.peer, "AddPeer of %s with another PeerConn than InitPeer returned", e)
		w.expect(r.node.sw.Peers().Get(p.ID()) == p, "AddPeer of %s, which is not in the set", e)
		e.phases[r.index] = known
		if r.index == numReactors-1 {
			w.clock++
			e.added = w.clock
			r.node.checkLimits()
		}
		panics = r.node.takePanic(stepPanicAdd, r.index)
	})
	if r.index == 0 {
		r.node.send(e, effectNone, 0) // as a reactor tells a new peer its state
	}
	r.node.takeTime()
	r.node.w.locked(func() {
		e.broadcasts = r.node.broadcasts
		e.doomed = e.doomed || panics
	})
	if panics {
		panic(errEnough)
	}
}

func (r *reactor) RemovePeer(p compat.PeerConn, _ any) {
	e := endOf(p)
	panics := false
	r.node.w.locked(func() {
		w := r.node.w
		w.note("%s: RemovePeer %d", e, r.index)
		w.expect(!r.node.closed, "RemovePeer of %s after the node was stopped", e)
		w.expect(e.in(r.index), "RemovePeer of %s twice, or without InitPeer", e)
		w.expect(p == e.peer, "RemovePeer of %s with another PeerConn than InitPeer returned", e)
		w.expect(!p.IsRunning(), "RemovePeer of %s, which runs", e)
		w.expect(e.receiving == 0, "RemovePeer of %s during Receive", e)
		if e.phases[r.index] == known {
			w.expect(r.node.sw.Peers().Get(p.ID()) == p, "%s was taken out of the set before RemovePeer", e)
		} else {
			w.expect(errors.Is(p.Stop(), service.ErrNotStarted), "RemovePeer of %s, which has run, without AddPeer", e)
		}
		e.phases[r.index] = removed
		panics = r.node.takePanic(stepPanicRemove, r.index)
	})
	r.node.takeTime()
	if r.index == 1 {
		r.node.dialBack(e.remote)
	}
	if panics {
		panic(errEnough)
	}
}

func (r *reactor) Receive(ch byte, p compat.PeerConn, data []byte) {
	e, msg := endOf(p), parse(data)
	r.node.w.locked(func() {
		w := r.node.w
		w.expect(e.in(r.index), "Receive from %s, which reactor %d does not have", e, r.index)
		w.expect(p == e.peer, "Receive from %s with another PeerConn than InitPeer returned", e)
		e.receiving++
		w.expect(e.receiving == 1, "two Receives of %s at once", e)
		if ch == chBroadcast {
			w.receiveBroadcast(e, msg)
		} else {
			w.receiveDirect(e, ch, msg)
		}
		e.doomed = e.doomed || msg.effect == effectStop || msg.effect == effectPanic
	})
	defer r.node.w.locked(func() { e.receiving-- })
	switch msg.effect {
	case effectBlock:
		r.node.w.busyFor(msg.block)
	case effectStop:
		r.node.sw.StopPeerForError(p, errEnough)
	case effectPanic:
		panic(errEnough)
	case effectReply:
		r.node.send(e, effectNone, 0)
	case effectBroadcast:
		r.node.broadcast(effectNone, 0)
	}
}

// message is what the nodes send.
type message struct {
	from   int // token of the end; of a broadcast the token of the node
	seq    int // on the connection and channel, or of the broadcast
	effect effect
	block  time.Duration
}

func (m message) bytes() []byte {
	return fmt.Appendf(nil, "%d %d %d %d", m.from, m.seq, m.effect, m.block)
}

// parse panics on what no node has sent: the switch then stops the peer, and a
// later check finds the message missing.
func parse(data []byte) (m message) {
	if _, err := fmt.Sscan(string(data), &m.from, &m.seq, &m.effect, &m.block); err != nil {
		panic(err)
	}

	return m
}
