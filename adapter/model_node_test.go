package adapter_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// dialsBackAtMost bounds the dials of a node that dials back: where the other side
// refuses, they would go on without any time passing.
const dialsBackAtMost = 20

// switchPatience is how long Stop waits for what takes long.
const switchPatience = 10 * time.Second

// node is a node from its start to its stop. The lock of the world guards what is
// not set by newNode.
type node struct {
	w     *world
	index int
	token int // begins its broadcasts
	cfg   nodeConfig
	tr    *memory.Transport
	sw    *adapter.MultiplexSwitch

	stopping   time.Time
	closed     bool // stopped, and nothing of it runs
	calling    int  // calls of reactors that take time
	ends       []*end
	arrivals   map[compat.PeerConn]int // inbound connections; what has happened before
	dialed     map[int]bool            // by index, whoever it was told to dial
	events     []events.Event
	watcher    sync.WaitGroup
	unwatch    func()
	panics     map[stepKind]map[int]bool // by reactor: the next call panics
	broadcasts int
	dialsBack  int
	slowDial   time.Duration // what comes out of Dial is late
	slowAccept time.Duration

	broadcasting sync.Mutex // keeps the numbers of broadcasts in order
}

// newNode starts a node at its address.
func newNode(w *world, index int) (*node, error) {
	tr, err := w.network.NewTransportFor(w.infos[index])
	if err != nil {
		return nil, err
	}
	cfg := w.scenario.nodes[index]
	n := &node{
		w: w, index: index, cfg: cfg, tr: tr,
		arrivals: make(map[compat.PeerConn]int), dialed: make(map[int]bool), panics: make(map[stepKind]map[int]bool),
	}
	w.locked(func() { n.token = w.nextToken() })
	if cfg.askLate {
		tr.SkipAdmission()
	}
	n.sw = adapter.NewMultiplexSwitch(&lateTransport{Transport: tr, node: n}, n.options()...)
	evs, unwatch := n.sw.Subscribe(func(e events.Event) bool {
		return e.Type() == events.PeerConnected || e.Type() == events.PeerDisconnected
	})
	n.unwatch = unwatch
	n.watcher.Go(func() {
		for e := range evs {
			w.locked(func() { n.events = append(n.events, e) })
		}
	})

	return n, n.sw.Start()
}

func (n *node) options() []adapter.SwitchOption {
	ids := func(indices []int) (ids []types.ID) {
		for _, i := range indices {
			ids = append(ids, n.w.infos[i].NetAddress.ID)
		}

		return ids
	}
	addrs := func(indices []int) (addrs []*types.NetAddress) {
		for _, i := range indices {
			addrs = append(addrs, n.w.infos[i].NetAddress)
		}

		return addrs
	}
	opts := []adapter.SwitchOption{
		adapter.WithPersistentPeers(addrs(n.cfg.persistent)),
		adapter.WithSeeds(addrs(n.cfg.seeds)),
		adapter.WithUnconditionalPeers(ids(n.cfg.unconditional)),
		adapter.WithPrivatePeers(ids(n.cfg.private)),
		adapter.WithMaxInboundPeers(uint64(n.cfg.maxIn)),
		adapter.WithMaxOutboundPeers(uint64(n.cfg.maxOut)),
		adapter.WithAllowDuplicateIP(n.cfg.allowSameIP),
	}
	for i := range numReactors {
		opts = append(opts, adapter.WithReactor(fmt.Sprint("reactor ", i), newReactor(n, i)))
	}

	return opts
}

// stop stops the node for good, and checks what is left of it.
func (n *node) stop() error {
	n.w.locked(func() { n.stopping = time.Now() })
	errs := []error{n.sw.Stop()}
	if left := n.tr.NumPeers(); left > 0 && !n.gaveUp() {
		errs = append(errs, fmt.Errorf("node %d has stopped with %d connections", n.index, left))
	}
	errs = append(errs, n.tr.Close())
	synctest.Wait()
	n.unwatch()
	n.watcher.Wait()
	n.w.locked(func() {
		n.closed = true
		for _, e := range n.ends {
			n.w.expect(!e.in(0) && !e.in(1) && e.receiving == 0, "%s was not removed when its node stopped", e)
		}
		n.checkEvents()
	})
	if left := len(n.sw.Peers().List()); left > 0 {
		errs = append(errs, fmt.Errorf("node %d has stopped with %d peers", n.index, left))
	}

	return errors.Join(errs...)
}

// gaveUp reports whether the switch waited for a Receive as long as it does. Only
// then it stops with peers that are not removed.
func (n *node) gaveUp() bool { return time.Since(n.stopping) >= switchPatience }

// newEnd is called by the first InitPeer of a connection, with the lock held.
func (n *node) newEnd(p compat.PeerConn) *end {
	e := &end{
		node: n, remote: n.w.indexOf(p.ID()), outbound: p.IsOutbound(), peer: p, token: n.w.nextToken(),
		sent: make(map[byte]int), got: make(map[byte]int), first: -1,
	}
	p.Set(endKey, e)
	n.w.ends[e.token] = e
	n.ends = append(n.ends, e)

	return e
}

// peer returns the PeerConn of another node, or nil.
func (n *node) peer(remote int) compat.PeerConn {
	return n.sw.Peers().Get(n.w.infos[remote].NetAddress.ID)
}

func (n *node) dial(remotes ...int) {
	var addrs []*types.NetAddress
	for _, i := range remotes {
		n.w.locked(func() { n.dialed[i] = true })
		addrs = append(addrs, n.w.infos[i].NetAddress)
	}
	n.sw.DialPeers(addrs...)
}

func (n *node) dialBack(remote int) {
	dial := false
	n.w.locked(func() {
		dial = n.cfg.dialsBack && n.dialsBack < dialsBackAtMost
		if dial {
			n.dialsBack++
		}
	})
	if dial {
		n.dial(remote)
	}
}

// send queues a message for the other end if there is a place.
func (n *node) send(e *end, effect effect, block time.Duration) {
	n.w.locked(func() { // TrySend does not block
		if e.peer.TrySend(chDirect, message{e.token, e.sent[chDirect], effect, block}.bytes()) {
			e.sent[chDirect]++
		}
	})
}

// sendAndWait sends a message in the background, one at a time.
func (n *node) sendAndWait(e *end) {
	var msg []byte
	n.w.locked(func() {
		if !e.waiting {
			e.waiting = true
			msg = message{from: e.token, seq: e.sent[chWait]}.bytes()
		}
	})
	if msg == nil {
		return
	}
	n.w.background(func() {
		ok := e.peer.Send(chWait, msg)
		n.w.locked(func() {
			e.waiting = false
			if ok {
				e.sent[chWait]++
			}
		})
	})
}

func (n *node) broadcast(effect effect, block time.Duration) {
	n.broadcasting.Lock() // Broadcast does not block
	defer n.broadcasting.Unlock()
	var seq int
	n.w.locked(func() {
		seq = n.broadcasts
		n.broadcasts++
	})
	n.sw.Broadcast(chBroadcast, message{n.token, seq, effect, block}.bytes())
}

// takeTime is for the reactors' calls.
func (n *node) takeTime() {
	if n.cfg.slowCalls == 0 {
		return
	}
	n.w.locked(func() { n.calling++ })
	n.w.busyFor(n.cfg.slowCalls)
	n.w.locked(func() { n.calling-- })
}

// stale returns the last end that was removed.
func (n *node) stale(remote int) (last *end) {
	for _, e := range n.ends {
		if e.remote == remote && e.added != 0 && !e.in(0) && !e.in(1) {
			last = e
		}
	}

	return last
}

func (n *node) takePanic(kind stepKind, reactor int) bool {
	panics := n.panics[kind][reactor]
	delete(n.panics[kind], reactor)

	return panics
}

func wait(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

// newInfos makes the nodes' identities, in the order of their IDs.
func newInfos(network *memory.Network, nodes []nodeConfig) []types.NodeInfo {
	infos := make([]types.NodeInfo, len(nodes))
	for i := range infos {
		infos[i] = network.NewNodeInfo(chDirect, chBroadcast, chWait)
	}
	slices.SortFunc(infos, func(a, b types.NodeInfo) int {
		if a.NetAddress.ID < b.NetAddress.ID {
			return -1
		}

		return 1
	})
	for i := range infos {
		addr := types.NewNetAddressFromIPPort(net.IPv4(10, 0, 0, byte(1+nodes[i].host)), uint16(1000+i))
		addr.ID = infos[i].NetAddress.ID
		infos[i].NetAddress = addr
	}

	return infos
}
