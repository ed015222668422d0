package compattest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// side is one node of a pair, and the only reactor of its switch. The pair's lock guards
// dialing and what follows.
type side struct {
	compat.BaseReactor
	pair   *crossedPair
	remote *side
	sw     SwitchNode
	addr   types.NetAddress
	events sync.WaitGroup
	ignore func() // ends the subscription

	dialing, dialed bool // in this round

	links  map[compat.PeerConn]*crossedLink // initialised and not removed
	live   *crossedLink                     // added and not removed
	serial int
	faults []string

	added, connected, disconnected int // so many AddPeers and events
}

// crossedLink is a connection as one end knows it.
type crossedLink struct {
	outbound bool
	token    string   // what this end greets with
	greeting string   // the other end's token
	msgs     []string // after the greeting
}

func (l *crossedLink) received(msg string) bool { return l != nil && slices.Contains(l.msgs, msg) }

func newSide(t *testing.T, p *crossedPair, makeSwitch MakeSwitch) *side {
	t.Helper()
	s := &side{pair: p, links: make(map[compat.PeerConn]*crossedLink)}
	s.BaseReactor = *compat.NewBaseReactor("crossed", s)
	s.sw, s.addr, _ = makeSwitch(t, SwitchSpec{
		Spec: identity(), Reactors: []NamedReactor{{"crossed", s}}, AllowDuplicateIP: true,
		MaxInboundPeers: 40, MaxOutboundPeers: 10, DialTimeout: 2 * crossedPatience,
		WrapTransport: func(tr compat.Transport) compat.Transport { return &heldDials{Transport: tr, side: s} },
	})

	return s
}

func (s *side) start(t *testing.T) {
	t.Helper()
	evs, ignore := s.sw.Subscribe(nil)
	s.ignore = ignore
	s.events.Go(func() {
		for e := range evs {
			s.pair.change(func() { s.count(e) })
		}
	})
	require.NoError(t, s.sw.Start())
	t.Cleanup(s.unsubscribe)
}

func (s *side) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, s.sw.Stop())
	s.unsubscribe()
}

// unsubscribe may be called more than once.
func (s *side) unsubscribe() {
	s.ignore()
	s.events.Wait()
}

func (s *side) count(e events.Event) {
	switch e := e.(type) {
	case events.PeerConnectedEvent:
		s.connected++
		s.expect(s.connected == s.disconnected+1, "connected while connected")
	case events.PeerDisconnectedEvent:
		s.disconnected++
		s.expect(s.connected == s.disconnected, "disconnected while not connected")
	case events.DialFailedEvent:
		// A stack whose handshake can refuse says that the other connection is there. The
		// dial of the lower ID never fails so.
		duplicate := compat.ClassifyDial(e.Reason) == compat.DialDuplicate
		s.expect(s == s.pair.upper() && duplicate, "dial failed: "+e.Reason.Error())
	}
}

func (s *side) expect(ok bool, fault string) {
	if !ok {
		s.faults = append(s.faults, fault)
	}
}

// dial makes the node dial if it has not begun to in this round. It first ends what is left
// of the former round, since a switch does not dial a peer that it has.
func (s *side) dial() {
	s.pair.mtx.Lock()
	dialing := s.dialing
	s.pair.mtx.Unlock()
	if dialing {
		return
	}
	s.stopPeer()
	s.sw.DialPeers(&s.remote.addr)
}

func (s *side) stopPeer() {
	if peer := s.sw.Peers().Get(s.remote.addr.ID); peer != nil {
		s.sw.StopPeerForError(peer, errTest)
	}
}

// alone reports whether the node has no peer and its events say so. The caller holds the
// pair's lock.
func (s *side) alone() bool {
	return s.live == nil && s.added == s.connected && s.connected == s.disconnected
}

// String describes the node for a failure. The caller holds the pair's lock.
func (s *side) String() string {
	return fmt.Sprintf("dialing %t, dialed %t, %d links, faults %q, %d added, %d connected, %d disconnected, live: %+v",
		s.dialing, s.dialed, len(s.links), s.faults, s.added, s.connected, s.disconnected, s.live)
}

// GetChannels implements compat.Reactor.
func (*side) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: ChannelA, Priority: 1, SendQueueCapacity: 10}}
}

// InitPeer implements compat.Reactor.
func (s *side) InitPeer(peer compat.PeerConn) compat.PeerConn {
	s.pair.change(func() {
		s.expect(len(s.links) == 0, "InitPeer before RemovePeer of the former connection")
		s.serial++
		s.links[peer] = &crossedLink{outbound: peer.IsOutbound(), token: fmt.Sprintf("%s %d", s.addr.ID, s.serial)}
	})

	return peer
}

// AddPeer implements compat.Reactor: it greets.
func (s *side) AddPeer(peer compat.PeerConn) {
	var token string
	s.pair.change(func() {
		l := s.links[peer]
		s.expect(l != nil && s.live == nil, "AddPeer of a second connection, or of an unknown one")
		s.live = l
		s.added++
		token = l.token
	})
	// Nothing is in the queue; a connection that has ended takes nothing.
	peer.TrySend(ChannelA, []byte(token))
}

// RemovePeer implements compat.Reactor.
func (s *side) RemovePeer(peer compat.PeerConn, _ any) {
	s.pair.change(func() {
		l := s.links[peer]
		s.expect(l != nil, "RemovePeer of an unknown connection")
		delete(s.links, peer)
		if s.live == l {
			s.live = nil
		}
	})
}

// Receive implements compat.Reactor.
func (s *side) Receive(_ byte, peer compat.PeerConn, msg []byte) {
	s.pair.change(func() {
		l := s.links[peer]
		switch {
		case l == nil:
			s.expect(false, "Receive after RemovePeer")
		case l.greeting == "":
			l.greeting = string(msg)
		default:
			l.msgs = append(l.msgs, string(msg))
		}
	})
}

// heldDials is a transport whose dials wait until both nodes dial.
type heldDials struct {
	compat.Transport
	side *side
}

// Dial implements compat.Transport.
func (h *heldDials) Dial(ctx context.Context, addr types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
	s := h.side
	var release chan struct{}
	s.pair.change(func() { s.dialing, release = true, s.pair.release })
	select {
	case <-release:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := h.Transport.Dial(ctx, addr, b)
	s.pair.change(func() { s.dialed = true })

	return conn, err
}
