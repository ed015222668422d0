package demo

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// linkKey is the key under which a peer keeps its link.
const linkKey = "demo.link"

// channels are the channels of the gossip reactor, with the parameters of real nodes
// (docs/wire.md §7).
var channels = []*compat.ChannelDescriptor{
	{ID: 0x20, Priority: 5, SendQueueCapacity: 100, RecvMessageCapacity: 1 << 20},
	{ID: 0x22, Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 10000, RecvMessageCapacity: 1 << 20},
	{ID: 0x30, Priority: 5, RecvMessageCapacity: 1 << 20},
	{ID: 0x40, Priority: 10, SendQueueCapacity: 1000, RecvMessageCapacity: 1 << 20},
}

// gossip is the reactor of one node.
type gossip struct {
	*compat.BaseReactor

	index   uint16
	side    map[types.ID]bool // the nodes of this side
	windows []*window         // of all nodes, by origin
	queue   int               // capacity of a peer's queue
	changed func()            // called when a hello or a closing frame arrives
	logger  *slog.Logger
	running sync.WaitGroup // the sending goroutines
	mayEnd  atomic.Bool    // links may end: the run has yet to begin, or is over

	mtx       sync.Mutex
	links     map[compat.PeerConn]*link
	known     []map[byte]*numberCheck // the messages that have arrived, by origin and channel
	sent      uint64                  // messages originated
	delivered uint64                  // distinct messages of others received
	crossed   uint64                  // frames received over the bridge
	faults    Faults
}

func newGossip(index int, windows []*window, changed func(), logger *slog.Logger) *gossip {
	g := &gossip{
		index:   uint16(index),
		windows: windows,
		changed: changed,
		logger:  logger,
		links:   make(map[compat.PeerConn]*link),
	}
	// A peer's queue holds at most one copy of each open message, and per channel one
	// frame of each other kind.
	for _, w := range windows {
		g.queue += cap(w.slots)
		g.known = append(g.known, newNumberChecks())
	}
	g.queue += 2 * len(channels)
	g.BaseReactor = compat.NewBaseReactor("GOSSIP", g)

	return g
}

// OnStop waits for the sending goroutines. The switch has removed all peers before.
func (g *gossip) OnStop() { g.running.Wait() }

// GetChannels implements compat.Reactor.
func (*gossip) GetChannels() []*compat.ChannelDescriptor { return channels }

// InitPeer implements compat.Reactor. It makes the link, since messages may arrive before
// AddPeer.
func (g *gossip) InitPeer(peer compat.PeerConn) compat.PeerConn {
	peer.Set(linkKey, newLink(peer, !g.side[peer.ID()], g.queue))
	return peer
}

// AddPeer implements compat.Reactor.
func (g *gossip) AddPeer(peer compat.PeerConn) {
	l := peer.Get(linkKey).(*link) // InitPeer has set it
	g.mtx.Lock()
	g.links[peer] = l
	l.queue <- frame{kind: kindHello, origin: g.index, channel: channels[0].ID}
	g.mtx.Unlock()
	g.running.Go(func() { l.run(g.left) })
}

// RemovePeer implements compat.Reactor.
func (g *gossip) RemovePeer(peer compat.PeerConn, reason any) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	l := g.links[peer]
	if l == nil {
		return
	}
	delete(g.links, peer)
	close(l.queue)
	if !g.mayEnd.Load() {
		g.faults.LinksEnded++
		g.logger.Warn("a link ended", "node", g.index, "peer", peer.ID(), "reason", reason)
	}
	g.changed()
}

// left notes in the window of a message's origin that a copy has left a queue.
func (g *gossip) left(f frame) {
	if f.kind == kindData {
		g.windows[f.origin].queued(f.key(), -1)
	}
}

// Receive implements compat.Reactor. It never blocks on another peer.
func (g *gossip) Receive(chID byte, peer compat.PeerConn, msg []byte) {
	l := peer.Get(linkKey).(*link) // InitPeer has set it
	f, err := decodeFrame(chID, msg)

	g.mtx.Lock()
	defer g.mtx.Unlock()
	if err != nil || int(f.origin) >= len(g.windows) {
		g.faults.Corrupted++
		g.logger.Warn("bad frame", "node", g.index, "peer", peer.ID(), "channel", chID, "err", err)

		return
	}
	if l.bridge {
		g.crossed++
	}
	v := l.received[chID].add(f.link)
	g.faults.LostOnLinks += int64(v.lost)
	g.faults.Duplicated += uint64(v.duplicated)
	g.faults.Reordered += uint64(v.reordered)
	switch f.kind {
	case kindData:
		g.deliver(f, peer)
	case kindHello:
		l.remote = int(f.origin)
		g.changed()
	case kindFin:
		l.finished[chID] = true
		g.changed()
	}
}

// deliver counts and forwards a message that is new to this node. The caller holds mtx.
func (g *gossip) deliver(f frame, from compat.PeerConn) {
	if f.origin == g.index || g.known[f.origin][f.channel].add(f.seq).duplicated > 0 {
		return
	}
	f.body = slices.Clone(f.body) // it aliases the received message
	g.forward(f, from)
	if !g.windows[f.origin].seen(f.key()) {
		g.faults.Corrupted++
		g.logger.Warn("received a message that was never sent", "node", g.index, "origin", f.origin, "key", f.key())

		return
	}
	g.delivered++
}

// originate sends a new message to all peers. The body must not change afterwards.
func (g *gossip) originate(key messageKey, body []byte) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	g.sent++
	g.forward(frame{kind: kindData, origin: g.index, channel: key.channel, seq: key.seq, body: body}, nil)
}

// forward queues a message for all peers but one. The caller holds mtx.
func (g *gossip) forward(f frame, except compat.PeerConn) {
	for peer, l := range g.links {
		if peer != except {
			g.windows[f.origin].queued(f.key(), 1)
			g.push(l, f)
		}
	}
}

// push adds a frame to the queue of a link. The windows keep queues from becoming full; a
// full one counts as a loss. The caller holds mtx.
func (g *gossip) push(l *link, f frame) {
	select {
	case l.queue <- f:
	default:
		g.faults.LostOnLinks++
		g.logger.Error("a peer's queue is full", "node", g.index, "peer", l.peer.ID())
		g.left(f)
	}
}

// finish sends the closing frames to all peers.
func (g *gossip) finish() {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	for _, l := range g.links {
		for _, d := range channels {
			g.push(l, frame{kind: kindFin, origin: g.index, channel: d.ID})
		}
	}
}

// unfinished returns the number of closing frames that have not arrived.
func (g *gossip) unfinished() (n int) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	for _, l := range g.links {
		n += len(channels) - len(l.finished)
	}

	return n
}

// remotes returns the nodes whose hello has arrived, and the number of peers.
func (g *gossip) remotes() (indices []int, peers int) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	for _, l := range g.links {
		if l.remote >= 0 {
			indices = append(indices, l.remote)
		}
	}

	return indices, len(g.links)
}

// addTo adds the counts of this node.
func (g *gossip) addTo(side *Side, crossed *uint64, faults *Faults) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	side.Peers = append(side.Peers, len(g.links))
	side.Sent += g.sent
	side.Delivered += g.delivered
	*crossed += g.crossed
	faults.LostOnLinks += g.faults.LostOnLinks
	faults.Duplicated += g.faults.Duplicated
	faults.Reordered += g.faults.Reordered
	faults.Corrupted += g.faults.Corrupted
	faults.LinksEnded += g.faults.LinksEnded
}
