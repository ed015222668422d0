package adapter_test

import (
	"fmt"
	"slices"
	"testing/synctest"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
)

func contains(indices []int, i int) bool { return slices.Contains(indices, i) }

// check compares what the nodes say with what their reactors were told, and, when
// nothing is under way, the two ends of each connection.
func (w *world) check() error {
	synctest.Wait()
	for _, n := range w.nodes {
		if n != nil {
			w.locked(n.checkPeers)
		}
	}
	if w.atRest() {
		w.locked(w.checkPairs)
	}

	return w.fault()
}

// live returns the end that the reactors have of a connection with the other
// node, or nil. The caller holds the lock.
func (n *node) live(remote int) *end {
	for _, e := range n.ends {
		if e.remote == remote && e.phases[0] == known && e.phases[1] == known {
			return e
		}
	}

	return nil
}

// checkPeers checks that the set of peers is what was added and not removed, unless
// a reactor is being told of a peer right now.
func (n *node) checkPeers() {
	w := n.w
	if n.calling > 0 {
		return
	}
	list := n.sw.Peers().List()
	clear(list) // the slice is ours
	list = n.sw.Peers().List()
	in, out := uint64(0), uint64(0)
	for _, p := range list {
		e := endOf(p)
		w.expect(e != nil && e == n.live(e.remote) && e.peer == p, "a peer of %d is in the set and not with the reactors", n.index)
		w.expect(n.sw.Peers().Get(p.ID()) == p && n.sw.Peers().Has(p.ID()), "Get of %d differs from List", n.index)
		if p.IsOutbound() {
			out++
		} else {
			in++
		}
	}
	live := 0
	for remote := range w.infos {
		if n.live(remote) != nil {
			live++
		}
	}
	w.expect(live == len(list), "%d has %d peers in the set and %d with the reactors", n.index, len(list), live)
	w.expect(in == n.sw.Peers().NumInbound() && out == n.sw.Peers().NumOutbound(), "peers of %d by direction", n.index)
	n.checkEvents()
}

// exempt reports whether the configuration lets the other node in whatever the
// limits.
func (n *node) exempt(remote int) bool {
	return contains(n.cfg.persistent, remote) || contains(n.cfg.unconditional, remote)
}

// takesOver reports whether the connection may have the slot of another one, in the
// other direction, and come in whatever its IP: that which it has replaced, or the
// dial that it has crossed.
func (n *node) takesOver(e *end) bool {
	dialed := n.dialed[e.remote] || contains(n.cfg.seeds, e.remote)

	return !e.outbound && dialed || slices.ContainsFunc(n.ends, func(other *end) bool {
		return other.remote == e.remote && other.outbound != e.outbound
	})
}

// checkLimits is called when an end was added.
func (n *node) checkLimits() {
	var in, out, all int
	for _, e := range n.ends {
		if n.exempt(e.remote) || !e.in(0) && !e.in(1) {
			continue
		}
		all++
		switch {
		case n.takesOver(e):
		case e.outbound:
			out++
		default:
			in++
		}
	}
	n.w.expect(in <= n.cfg.maxIn, "%d has %d inbound peers, the limit is %d", n.index, in, n.cfg.maxIn)
	n.w.expect(out <= n.cfg.maxOut, "%d has %d outbound peers, the limit is %d", n.index, out, n.cfg.maxOut)
	n.w.expect(all <= n.cfg.maxIn+n.cfg.maxOut, "%d has %d peers, the limits are %d and %d", n.index, all, n.cfg.maxIn, n.cfg.maxOut)
}

// checkHost is called when an end is initialised: it must be the only one of its
// host, of those that were there before it came.
func (n *node) checkHost(e *end, arrived int) {
	if e.outbound || n.cfg.allowSameIP || n.exempt(e.remote) || n.takesOver(e) {
		return
	}
	hostOf := func(e *end) int { return n.w.scenario.nodes[e.remote].host }
	for _, other := range n.ends {
		before := other.added != 0 && other.added < arrived && (other.in(0) || other.in(1))
		n.w.expect(!before || other.remote == e.remote || hostOf(other) != hostOf(e), "%s came in while %s, of the same IP, was in", e, other)
	}
}

// checkEvents compares the events with the reactors' calls.
func (n *node) checkEvents() {
	for remote, info := range n.w.infos {
		var want, got []string
		for _, e := range n.ends {
			if e.remote != remote || e.added == 0 {
				continue
			}
			want = append(want, fmt.Sprint("connected ", e.outbound))
			if !e.in(0) && !e.in(1) {
				want = append(want, fmt.Sprint("disconnected ", e.outbound))
			}
		}
		for _, ev := range n.events {
			switch ev := ev.(type) {
			case events.PeerConnectedEvent:
				if ev.PeerID == info.NetAddress.ID {
					got = append(got, fmt.Sprint("connected ", ev.Outbound))
				}
			case events.PeerDisconnectedEvent:
				if ev.PeerID == info.NetAddress.ID {
					got = append(got, fmt.Sprint("disconnected ", ev.Outbound))
				}
			}
		}
		n.w.expect(slices.Equal(want, got), "events of %d about %d: %q, want %q", n.index, remote, got, want)
	}
}

// checkPairs compares both ends of all connections, when nothing is under way.
func (w *world) checkPairs() {
	for i, n := range w.nodes {
		if n == nil {
			continue
		}
		w.expect(n.tr.NumPeers() == len(n.sw.Peers().List()), "%d has %d connections and %d peers", i, n.tr.NumPeers(), len(n.sw.Peers().List()))
		for j, other := range w.nodes {
			a := n.live(j)
			if a == nil {
				continue
			}
			var b *end
			if other != nil {
				b = other.live(i)
			}
			w.expect(b != nil, "%s is connected, the other end is not", a)
			if b != nil {
				w.checkConnection(a, b)
			}
		}
	}
}

// checkConnection checks what has come from a to b.
func (w *world) checkConnection(a, b *end) {
	w.expect(a.outbound != b.outbound, "%s and %s have one direction", a, b)
	w.expect(a.other == b.token && b.other == a.token, "%s and %s are not the ends of one connection", a, b)
	w.expect(a.peer.IsRunning(), "%s does not run", a)
	w.expect(!a.doomed, "%s was stopped and is still there", a)
	for _, ch := range []byte{chDirect, chWait} {
		w.expect(b.got[ch] == a.sent[ch], "of %d messages on %#02x from %s %d have arrived", a.sent[ch], ch, a, b.got[ch])
	}
	n := a.node
	switch {
	case b.first >= 0:
		w.expect(b.first <= a.broadcasts && b.next == n.broadcasts,
			"broadcasts %d to %d have come from %s, which was added at %d, of %d", b.first, b.next, a, a.broadcasts, n.broadcasts)
	default:
		w.expect(a.broadcasts == n.broadcasts, "no broadcast has come from %s, which was added at %d, of %d", a, a.broadcasts, n.broadcasts)
	}
}

// receiveDirect checks a message to one peer. The caller holds the lock.
func (w *world) receiveDirect(e *end, ch byte, msg message) {
	sender := w.ends[msg.from]
	if sender == nil {
		w.expect(false, "message of nobody to %s", e)

		return
	}
	w.expect(e.other == 0 || e.other == sender.token, "messages of two connections to %s", e)
	e.other = sender.token
	w.expect(sender.node.index == e.remote && sender.remote == e.node.index && sender.outbound != e.outbound && (sender.other == 0 || sender.other == e.token),
		"message of %s to %s", sender, e)
	w.expect(msg.seq == e.got[ch], "message %d on %#02x to %s, after %d", msg.seq, ch, e, e.got[ch])
	e.got[ch]++
}

// receiveBroadcast checks a broadcast. The caller holds the lock.
func (w *world) receiveBroadcast(e *end, msg message) {
	if e.first < 0 {
		e.first, e.next = msg.seq, msg.seq
	}
	w.expect(msg.seq == e.next, "broadcast %d to %s, not %d", msg.seq, e, e.next)
	e.next = msg.seq + 1
	if sender := w.ends[e.other]; sender != nil {
		w.expect(sender.node.token == msg.from, "broadcast of a stranger to %s", e)
	}
}

// willConnect reports whether the step has to connect its two nodes: nothing is
// under way, none of them refuses, and no reactor is about to panic. A persistent
// peer is not dialed by DialPeers.
func (w *world) willConnect(s step) bool {
	if s.kind != stepDial && s.kind != stepCross {
		return false
	}
	synctest.Wait()
	if !w.atRest() || !w.ready(s.node) || !w.ready(s.peer) {
		return false
	}

	return !contains(w.scenario.nodes[s.node].persistent, s.peer) ||
		s.kind == stepCross && !contains(w.scenario.nodes[s.peer].persistent, s.node)
}

func (w *world) ready(i int) (ready bool) {
	n := w.nodes[i]
	if n == nil || n.cfg.maxIn < roomy || n.cfg.maxOut < roomy || !n.cfg.allowSameIP {
		return false
	}
	w.locked(func() {
		ready = true
		for _, panics := range n.panics {
			ready = ready && len(panics) == 0
		}
	})

	return ready
}

// checkPersistent checks that nobody lacks a persistent peer that would let it in.
func (w *world) checkPersistent() error {
	for i, n := range w.nodes {
		if n == nil {
			continue
		}
		for _, remote := range n.cfg.persistent {
			if other := w.nodes[remote]; other != nil && n.peer(remote) == nil && !other.refuses(n) {
				return fmt.Errorf("%d is not connected with its persistent peer %d", i, remote)
			}
		}
	}

	return nil
}

// refuses reports whether the node has a reason not to let the dialer in.
func (n *node) refuses(dialer *node) bool {
	if n.exempt(dialer.index) {
		return false
	}
	sameIP := func(p compat.PeerConn) bool {
		return n.w.scenario.nodes[endOf(p).remote].host == dialer.cfg.host
	}

	return len(n.sw.Peers().List()) >= n.cfg.maxIn || // some may have the slots of connections that they replaced
		!n.cfg.allowSameIP && slices.ContainsFunc(n.sw.Peers().List(), sameIP)
}
