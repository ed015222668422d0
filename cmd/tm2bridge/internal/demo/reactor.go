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

// counters are the counts of one node.
type counters struct {
	sent       atomic.Uint64 // messages originated
	delivered  atomic.Uint64 // distinct messages of others received
	crossed    atomic.Uint64 // frames received over the bridge
	lost       atomic.Int64  // numbers missing on links
	duplicated atomic.Uint64
	reordered  atomic.Uint64
	corrupted  atomic.Uint64
	broken     atomic.Uint64 // links that ended during the run
}

// gossip is the reactor of one node.
type gossip struct {
	*compat.BaseReactor
	counters

	index   uint16
	side    map[types.ID]bool // the nodes of this side
	windows []*window         // of all nodes, by origin
	queue   int               // capacity of a peer's queue
	changed func()            // called when a hello or a closing frame arrives
	logger  *slog.Logger
	running sync.WaitGroup // the sending goroutines
	ending  atomic.Bool    // the run is over: peers may disconnect

	mtx   sync.Mutex
	links map[compat.PeerConn]*link
	known map[sourceKey]*seqSet
}

// sourceKey identifies the messages of one origin on one channel.
type sourceKey struct {
	origin  uint16
	channel byte
}

func newGossip(index int, windows []*window, changed func(), logger *slog.Logger) *gossip {
	g := &gossip{
		index:   uint16(index),
		windows: windows,
		changed: changed,
		logger:  logger,
		links:   make(map[compat.PeerConn]*link),
		known:   make(map[sourceKey]*seqSet),
	}
	// A peer's queue holds at most one copy of each open message, and per channel one
	// frame of each other kind.
	for _, w := range windows {
		g.queue += cap(w.slots)
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
	l, ok := peer.Get(linkKey).(*link)
	if !ok {
		g.logger.Error("peer without a link", "peer", peer.ID())
		return
	}
	g.mtx.Lock()
	g.links[peer] = l
	l.queue <- outgoing{kind: kindHello, origin: g.index, key: messageKey{channel: channels[0].ID}}
	g.mtx.Unlock()
	g.running.Go(func() { l.run(g.left) })
}

// RemovePeer implements compat.Reactor.
func (g *gossip) RemovePeer(peer compat.PeerConn, reason any) {
	g.mtx.Lock()
	l := g.links[peer]
	delete(g.links, peer)
	g.mtx.Unlock()
	if l == nil {
		return
	}
	l.close()
	if !g.ending.Load() {
		g.broken.Add(1)
		g.logger.Warn("a link ended", "node", g.index, "peer", peer.ID(), "reason", reason)
	}
	g.changed()
}

// left notes in the window of a message's origin that a copy has left a queue.
func (g *gossip) left(out outgoing) {
	if out.kind == kindData {
		g.windows[out.origin].left(out.key, 1)
	}
}

// Receive implements compat.Reactor. It never blocks on another peer.
func (g *gossip) Receive(chID byte, peer compat.PeerConn, msg []byte) {
	l, ok := peer.Get(linkKey).(*link)
	if !ok {
		g.corrupted.Add(1)
		return
	}
	f, err := decodeFrame(chID, msg)
	if err != nil || int(f.origin) >= len(g.windows) {
		g.corrupted.Add(1)
		g.logger.Warn("bad frame", "node", g.index, "peer", peer.ID(), "channel", chID, "err", err)

		return
	}
	if l.bridge {
		g.crossed.Add(1)
	}

	g.mtx.Lock()
	g.count(l.received[chID].add(f.link))
	if f.kind == kindData {
		g.deliver(f, peer)
		g.mtx.Unlock()

		return
	}
	if f.kind == kindHello {
		l.remote = int(f.origin)
	} else {
		l.received[chID].finished = true
	}
	g.mtx.Unlock()
	g.changed()
}

func (g *gossip) count(v verdict) {
	g.lost.Add(int64(v.lost))
	g.duplicated.Add(uint64(v.duplicated))
	g.reordered.Add(uint64(v.reordered))
}

// deliver counts and forwards a message that is new to this node. The caller holds mtx.
func (g *gossip) deliver(f frame, from compat.PeerConn) {
	source := sourceKey{origin: f.origin, channel: f.channel}
	known := g.known[source]
	if known == nil {
		known = &seqSet{}
		g.known[source] = known
	}
	if f.origin == g.index || !known.add(f.seq) {
		return
	}
	out := outgoing{
		kind:   kindData,
		origin: f.origin,
		key:    messageKey{channel: f.channel, seq: f.seq},
		body:   slices.Clone(f.body),
	}
	g.forward(out, from)
	if !g.windows[f.origin].seen(out.key) {
		g.corrupted.Add(1)
		g.logger.Warn("received a message that was never sent", "node", g.index, "origin", f.origin, "key", out.key)

		return
	}
	g.delivered.Add(1)
}

// originate sends a new message to all peers.
func (g *gossip) originate(key messageKey, body []byte) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	g.sent.Add(1)
	g.forward(outgoing{kind: kindData, origin: g.index, key: key, body: body}, nil)
}

// forward queues a message for all peers but one. The caller holds mtx.
func (g *gossip) forward(out outgoing, except compat.PeerConn) {
	for peer, l := range g.links {
		if peer == except {
			continue
		}
		g.windows[out.origin].queued(out.key, 1)
		if !g.push(l, out) {
			g.windows[out.origin].left(out.key, 1)
		}
	}
}

// push adds a frame to the queue of a link. The windows keep queues from becoming full; a
// full one counts as a loss.
func (g *gossip) push(l *link, out outgoing) bool {
	select {
	case l.queue <- out:
		return true
	default:
		g.lost.Add(1)
		g.logger.Error("a peer's queue is full", "node", g.index, "peer", l.peer.ID())

		return false
	}
}

// finish sends the closing frames to all peers.
func (g *gossip) finish() {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	for _, l := range g.links {
		for _, d := range channels {
			g.push(l, outgoing{kind: kindFin, origin: g.index, key: messageKey{channel: d.ID}})
		}
	}
}

// unfinished returns the number of closing frames that have not arrived.
func (g *gossip) unfinished() (n int) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	for _, l := range g.links {
		for _, c := range l.received {
			if !c.finished {
				n++
			}
		}
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
