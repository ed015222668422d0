package compattest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// what is the kind of a journal entry.
type what string

const (
	switchSet    what = "SetSwitch"
	started      what = "OnStart"
	stopped      what = "OnStop"
	initPeer     what = "InitPeer"
	addPeer      what = "AddPeer"
	removePeer   what = "RemovePeer begins"
	removed      what = "RemovePeer ends"
	received     what = "Receive"
	connected    what = "connected"
	disconnected what = "disconnected"
	failed       what = "dial failed or peer rejected"
)

// entry is one call of a reactor, or one event.
type entry struct {
	what what
	by   string // the reactor
	id   types.ID

	peer    compat.PeerConn // nil for events
	running bool            // the peer is running
	inSet   bool            // the switch's peer set has the ID
	reason  any
	event   events.Event

	channel byte
	msg     string
}

// journal records the calls of a node's reactors, and its events, in order.
type journal struct {
	cluster *cluster
	peers   func() compat.PeerSet // set before the node is started

	mtx     sync.Mutex
	entries []entry
}

func (j *journal) note(e entry) {
	j.mtx.Lock()
	j.entries = append(j.entries, e)
	j.mtx.Unlock()
	j.cluster.grown()
}

// tap is an event filter that records every event, on the goroutine that notifies, and
// passes none.
func (j *journal) tap(ev events.Event) bool {
	e := entry{event: ev}
	switch ev := ev.(type) {
	case events.PeerConnectedEvent:
		e.what, e.id = connected, ev.PeerID
	case events.PeerDisconnectedEvent:
		e.what, e.id, e.reason = disconnected, ev.PeerID, ev.Reason
	case events.PeerRejectedEvent:
		e.what, e.id, e.reason = failed, ev.PeerID, ev.Reason
	case events.DialFailedEvent:
		e.what, e.id, e.reason = failed, ev.Address.ID, ev.Reason
	default:
		return false
	}
	e.inSet = j.peers().Has(e.id)
	j.note(e)

	return false
}

// all returns the entries that match, in order.
func (j *journal) all(match func(entry) bool) (found []entry) {
	j.mtx.Lock()
	defer j.mtx.Unlock()
	for _, e := range j.entries {
		if match(e) {
			found = append(found, e)
		}
	}

	return found
}

func (j *journal) has(match func(entry) bool) bool { return len(j.all(match)) > 0 }

// of returns the entries about the ID, in order.
func (j *journal) of(id types.ID) []entry {
	return j.all(func(e entry) bool { return e.id == id })
}

// count returns the number of entries of a kind about the ID.
func (j *journal) count(w what, id types.ID) int {
	return len(j.all(func(e entry) bool { return e.what == w && e.id == id }))
}

// kind returns the entries of a kind.
func (j *journal) kind(w what) []entry {
	return j.all(func(e entry) bool { return e.what == w })
}

// forget removes the entries about the ID from the given length on, up to the first call of the last
// InitPeer, and returns how many of them were late dials.
func (j *journal) forget(id types.ID, from int) (late int) {
	j.mtx.Lock()
	defer j.mtx.Unlock()
	last := from
	for i, e := range j.entries[from:] {
		// Those of the reactors after the first one follow.
		if e.what == initPeer && e.id == id && e.by == j.entries[0].by {
			last = from + i
		}
	}
	kept := slices.Clone(j.entries[:from])
	for i, e := range j.entries[from:] {
		switch {
		case e.id != id || from+i >= last:
			kept = append(kept, e)
		case e.isLateDial():
			late++
		}
	}
	j.entries = kept

	return late
}

// len returns the number of entries.
func (j *journal) len() int { return len(j.all(func(entry) bool { return true })) }

// String lists the last entries.
func (j *journal) String() string {
	const shown = 60
	entries := j.all(func(entry) bool { return true })
	var b strings.Builder
	if len(entries) > shown {
		fmt.Fprintf(&b, "%d entries, ", len(entries)-shown)
		entries = entries[len(entries)-shown:]
	}
	for _, e := range entries {
		fmt.Fprintf(&b, "\n\t%s %s %s %.20q", e.by, e.what, e.id, e.msg)
		if e.reason != nil {
			fmt.Fprintf(&b, " (%v)", e.reason)
		}
	}

	return b.String()
}

// recorder is a reactor that records its calls. After recording a call, it runs the hook
// for it, if any. Hooks are set before the node is made.
type recorder struct {
	compat.BaseReactor
	name     string
	log      *journal
	channels []*compat.ChannelDescriptor
	quiet    bool // Receive is not recorded

	onStart   func()
	onInit    func(compat.PeerConn) compat.PeerConn
	onAdd     func(compat.PeerConn)
	onRemove  func(compat.PeerConn)
	onReceive func(byte, compat.PeerConn, []byte)
}

func newRecorder(name string, log *journal) *recorder {
	r := &recorder{name: name, log: log}
	r.BaseReactor = *compat.NewBaseReactor(name, r)

	return r
}

func (r *recorder) listenOn(channels ...byte) {
	r.channels = nil
	for i, ch := range channels {
		r.channels = append(r.channels, &compat.ChannelDescriptor{
			ID: ch, Priority: i + 1, SendQueueCapacity: 10, RecvMessageCapacity: 1 << 20,
		})
	}
}

// note records a call about a peer.
func (r *recorder) note(w what, peer compat.PeerConn, reason any) {
	id := peer.ID()
	r.log.note(entry{
		what: w, by: r.name, id: id, peer: peer, reason: reason,
		running: peer.IsRunning(), inSet: r.log.peers().Has(id),
	})
}

func (r *recorder) SetSwitch(sw compat.Switch) {
	r.BaseReactor.SetSwitch(sw)
	r.log.note(entry{what: switchSet, by: r.name})
}

func (r *recorder) OnStart() error {
	r.log.note(entry{what: started, by: r.name})
	if r.onStart != nil {
		r.onStart()
	}

	return nil
}

func (r *recorder) OnStop() { r.log.note(entry{what: stopped, by: r.name}) }

func (r *recorder) GetChannels() []*compat.ChannelDescriptor { return r.channels }

func (r *recorder) InitPeer(peer compat.PeerConn) compat.PeerConn {
	r.note(initPeer, peer, nil)
	if r.onInit != nil {
		return r.onInit(peer)
	}

	return peer
}

func (r *recorder) AddPeer(peer compat.PeerConn) {
	r.note(addPeer, peer, nil)
	if r.onAdd != nil {
		r.onAdd(peer)
	}
}

func (r *recorder) RemovePeer(peer compat.PeerConn, reason any) {
	r.note(removePeer, peer, reason)
	defer r.note(removed, peer, reason)
	if r.onRemove != nil {
		r.onRemove(peer)
	}
}

func (r *recorder) Receive(ch byte, peer compat.PeerConn, msg []byte) {
	if !r.quiet {
		r.log.note(entry{what: received, by: r.name, id: peer.ID(), peer: peer, channel: ch, msg: string(msg)})
	}
	if r.onReceive != nil {
		r.onReceive(ch, peer, msg)
	}
}
