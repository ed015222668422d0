package bridge

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// WaitingAge is how long a node that was refused stays in Status.Waiting after it has
	// dialed for the last time.
	WaitingAge = 15 * time.Minute
	// SeenAge is how long a node counts in Status.Seen.
	SeenAge = 24 * time.Hour
	// RefusesAge is how long a target counts as one that refuses after its last refusal. Nodes
	// without a pair dial again within half of that.
	RefusesAge = time.Minute

	maxWaiting = 64
	maxSeen    = 4096
	maxEvents  = 128 // of pairs, and as many of other kinds
	maxDialed  = 256 // targets whose last dial is remembered
	// maxText bounds a text, in bytes: the errors of a search are as many as the targets.
	maxText = 1024
	// eventInterval is how soon after an event of a node another one with the same reason
	// is not told again.
	eventInterval = time.Minute
)

// The kinds of events.
const (
	EventPairUp    = "pair up"
	EventPairEnded = "pair ended"
	EventRefused   = "refused"
	EventFailed    = "dial failed"
	EventOperator  = "operator"
)

// Event is something that an operator may want to know.
type Event struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"`
	NativeID types.ID  `json:"native_id,omitempty"`
	Libp2pID types.ID  `json:"libp2p_id,omitempty"`
	Reason   string    `json:"reason,omitempty"` // one of few words
	Text     string    `json:"text,omitempty"`
}

// WaitingStatus is a node that has dialed the bridge and has no pair.
type WaitingStatus struct {
	ID        types.ID  `json:"id"`
	Initiator string    `json:"initiator"` // the side from which it dials
	Moniker   string    `json:"moniker"`
	Network   string    `json:"network"`
	Address   string    `json:"address"`
	Reason    string    `json:"reason"` // see Counters.Refusals
	Text      string    `json:"text"`   // the whole reason, cut after 1024 bytes
	Cure      string    `json:"cure"`
	Count     int       `json:"count"` // refusals in a row
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	// Known tells that the node is configured, or has had a pair for a minute within SeenAge and does
	// not flap. Others are strangers, whose refusals say nothing of the bridge.
	Known bool `json:"known"`
}

// waiting is a node that has dialed the bridge and has no pair.
type waiting struct {
	WaitingStatus
	entry
}

// SeenNodes counts nodes by the stack on which the bridge has seen them last.
type SeenNodes struct {
	Native int `json:"native"`
	Libp2p int `json:"libp2p"`
}

// Counters count since the bridge started.
type Counters struct {
	PairsOpened uint64          `json:"pairs_opened"`
	PairsEnded  []Count         `json:"pairs_ended"` // by the side that ended them, "bridge" or "block", and whether the node was known
	Refusals    []Count         `json:"refusals"`    // by the side that dialed, and the reason
	Dials       []Count         `json:"dials"`       // by the side dialed, and the result, "ok" or a kind of compat.DialFailure
	Channels    []ChannelCounts `json:"channels"`
	Latency     []LatencyCounts `json:"latency"`
}

// Count is how often something with these labels was counted.
type Count struct {
	Side   string `json:"side"`
	Reason string `json:"reason,omitempty"`
	// Known tells of a pair that its node was no stranger when it dialed (WaitingStatus.Known).
	Known bool   `json:"known,omitempty"`
	Count uint64 `json:"count"`
}

// journal keeps what the bridge has seen, for people who watch it. Everything in it is
// bounded. All methods may be called concurrently.
type journal struct {
	toLibp2p, toNative sideMeter
	exempt             func(types.ID) bool // reports whether a node is configured

	mtx         sync.Mutex
	started     time.Time
	opened      uint64
	ended       map[Count]uint64 // the keys have no count
	refusals    map[Count]uint64
	dials       map[Count]uint64
	pairEvents  []Event
	otherEvents []Event
	waiting     map[claim]*waiting
	seen        map[types.ID]*sighting
	flaps       map[claim]*flap
	dialed      map[claim]dialed // by the side that was dialed
}

// dialed is how the last dial of a target has ended.
type dialed struct {
	at        time.Time
	answered  time.Time // the last dial that led to a connection
	kind      string
	text      string       // empty if it did not fail
	refused   netip.Prefix // the host of the last stranger that it had no room for since it has taken a node
	refuses   bool         // it has refused a known node since, or had no room for strangers of two hosts
	refusedAt time.Time    // the last refusal that counts
}

func newJournal() *journal {
	return &journal{
		ended: make(map[Count]uint64), refusals: make(map[Count]uint64), dials: make(map[Count]uint64),
		waiting: make(map[claim]*waiting), seen: make(map[types.ID]*sighting), dialed: make(map[claim]dialed),
		flaps: make(map[claim]*flap), exempt: func(types.ID) bool { return false },
	}
}

// meterOf returns the meter of what is relayed to a side.
func (j *journal) meterOf(side string) *sideMeter {
	if side == InitiatorNative {
		return &j.toNative
	}

	return &j.toLibp2p
}

func (j *journal) start() {
	j.mtx.Lock()
	defer j.mtx.Unlock()
	j.started = time.Now()
}

// watch returns the incoming node so that its refusal is noted.
func (j *journal) watch(initiator string, in incoming, remote net.Addr) incoming {
	reject, complete := in.reject, in.complete
	in.reject = func(err error) {
		j.refused(initiator, in, remote, err)
		reject(err)
	}
	in.complete = func(ctx context.Context, far types.NodeInfo, near compat.PeerBehavior) (compat.PeerConn, error) {
		peer, err := complete(ctx, far, near)
		if err != nil {
			j.refused(initiator, in, remote, err)
		}

		return peer, err
	}

	return in
}

// refused notes that a node got no pair.
func (j *journal) refused(initiator string, in incoming, remote net.Addr, err error) {
	reason, cure := explain(err)
	text := cut(err.Error())
	j.mtx.Lock()
	defer j.mtx.Unlock()
	now := time.Now()
	j.refusals[Count{Side: initiator, Reason: reason}]++
	from := netgroup.FromAddr(remote)
	j.sight(in.id, initiator, from, now)
	node := claim{initiator, in.id, in.at}
	w := j.waiting[node]
	if w == nil {
		w = &waiting{WaitingStatus{ID: in.id, Initiator: initiator, First: now}, entry{now, siteOf(from), j.isKnown(in.id, now)}}
		if !makeRoomFor(j.waiting, maxWaiting, func(w *waiting) entry { return w.entry }, w.entry) {
			return
		}
		j.waiting[node] = w
	}
	if w.Reason != reason || now.Sub(w.Last) > eventInterval {
		j.note(Event{Time: now, Kind: EventRefused, Reason: reason, Text: text}.of(initiator, in.id))
	}
	w.Moniker, w.Network, w.Address = in.node.Moniker, in.node.Network, addressOf(remote)
	w.Reason, w.Cure, w.Text, w.Last, w.at = reason, cure, text, now, now
	w.known = j.isKnown(in.id, now)
	w.Known, w.Count = w.known, w.Count+1
}

// up notes a pair. Its nodes wait no longer.
func (j *journal) up(p *pair) {
	j.mtx.Lock()
	defer j.mtx.Unlock()
	now := time.Now()
	j.opened++
	delete(j.waiting, p.claim)
	for _, side := range []*side{p.native, p.libp2p} {
		if s := j.sight(side.peer.ID(), side.name, netgroup.FromAddr(side.peer.RemoteAddr()), now); s != nil {
			s.paired(now)
		}
	}
	j.note(Event{Time: now, Kind: EventPairUp, NativeID: p.native.peer.ID(), Libp2pID: p.libp2p.peer.ID()})
}

// down notes the end of a pair that was up. bothWays tells that its native target has dialed the
// bridge as well.
func (j *journal) down(p *pair, end *ending, bothWays bool) {
	by, cause := end.told()
	j.mtx.Lock()
	defer j.mtx.Unlock()
	now := time.Now()
	j.ended[Count{Side: by, Known: !p.stranger}]++
	for _, side := range []*side{p.native, p.libp2p} {
		if s := j.sight(side.peer.ID(), side.name, netgroup.FromAddr(side.peer.RemoteAddr()), now); s != nil {
			s.unpaired(p.since, now)
		}
	}
	j.flapped(p, end, bothWays, now)
	j.note(Event{
		Time: now, Kind: EventPairEnded, NativeID: p.native.peer.ID(), Libp2pID: p.libp2p.peer.ID(), Reason: by, Text: cut(cause),
	})
}

// hadPair reports whether a pair of the node has ended within the time, or that is not known
// any more.
func (j *journal) hadPair(id types.ID, within time.Duration) bool {
	j.mtx.Lock()
	defer j.mtx.Unlock()
	if len(j.pairEvents) == maxEvents && time.Since(j.pairEvents[0].Time) < within {
		return true
	}

	return slices.ContainsFunc(j.pairEvents, func(e Event) bool {
		return e.Kind == EventPairEnded && (e.NativeID == id || e.Libp2pID == id) && time.Since(e.Time) < within
	})
}

// ranFor reports whether the bridge has run for the time.
func (j *journal) ranFor(d time.Duration) bool {
	j.mtx.Lock()
	defer j.mtx.Unlock()

	return !j.started.IsZero() && time.Since(j.started) >= d
}

// attempt notes how a dial of a target on behalf of a node has ended.
func (j *journal) attempt(side string, addr types.NetAddress, node dialer, err error) {
	failure := compat.ClassifyDial(err)
	j.mtx.Lock()
	defer j.mtx.Unlock()
	target, now := claim{side, addr.ID, ""}, time.Now()
	last, known := j.dialed[target]
	next := dialed{at: now, answered: last.answered, kind: "ok"}
	if err != nil {
		next.kind, next.text = failure.String(), err.Error()
	} else {
		next.answered = now
	}
	if failure.Answered() && err != nil && !isOwnBlock(err) {
		next.text = fmt.Sprintf("it refused %s: %s", node.id, next.text) // that may be due to the node
		if now.Sub(last.refusedAt) < RefusesAge {
			next.refused, next.refuses, next.refusedAt = last.refused, last.refuses, last.refusedAt
		}
		switch {
		case failure == compat.DialOtherNetwork, failure == compat.DialDuplicate: // it is about this node
		case !node.stranger:
			next.refuses, next.refusedAt = true, now
		case refusesAll(failure):
			next.refuses = next.refuses || next.refused.IsValid() && next.refused != node.from
			next.refused, next.refusedAt = node.from, now
		}
	}
	next.text = cut(next.text)
	j.dials[Count{Side: side, Reason: next.kind}]++
	if failure == compat.DialLocal && err != nil {
		return // it says nothing about the target
	}
	if err != nil && (last.kind != next.kind || now.Sub(last.at) > eventInterval) {
		j.note(Event{Time: now, Kind: EventFailed, Reason: next.kind, Text: next.text}.of(side, addr.ID))
	}
	if !known {
		makeRoom(j.dialed, maxDialed, func(d dialed) time.Time { return d.at })
	}
	j.dialed[target] = next
}

// operator notes what an operator has changed.
func (j *journal) operator(text string) {
	j.mtx.Lock()
	defer j.mtx.Unlock()
	j.note(Event{Time: time.Now(), Kind: EventOperator, Text: text})
}

// of returns the event with the ID of a node of the side.
func (e Event) of(side string, id types.ID) Event {
	if side == InitiatorNative {
		e.NativeID = id
	} else {
		e.Libp2pID = id
	}

	return e
}

// cut returns a text of one line and of maxText bytes at most. Joined errors stand on lines of
// their own.
func cut(text string) string {
	const more = " [...]"
	text = strings.ReplaceAll(text, "\n", "; ")
	if len(text) <= maxText {
		return text
	}

	return strings.ToValidUTF8(text[:maxText-len(more)], "") + more
}

// note appends an event. The caller holds the lock. Strangers can cause refusals and failed
// dials as often as they like, so that these do not push out the events of pairs.
func (j *journal) note(e Event) {
	list := &j.otherEvents
	if e.Kind == EventPairUp || e.Kind == EventPairEnded || e.Kind == EventOperator {
		list = &j.pairEvents
	}
	if len(*list) == maxEvents {
		*list = slices.Delete(*list, 0, 1)
	}
	*list = append(*list, e)
}

// makeRoom deletes the oldest entry of a map that is full.
func makeRoom[K comparable, V any](m map[K]V, limit int, age func(V) time.Time) {
	if len(m) < limit {
		return
	}
	var oldest K
	var at time.Time
	for key, value := range m {
		if t := age(value); at.IsZero() || t.Before(at) {
			oldest, at = key, t
		}
	}
	delete(m, oldest)
}

// fill adds what the journal knows to a status.
func (j *journal) fill(s *Status) {
	j.mtx.Lock()
	defer j.mtx.Unlock()
	now := time.Now()
	s.Started = j.started
	s.Events = append(append([]Event{}, j.pairEvents...), j.otherEvents...)
	slices.SortStableFunc(s.Events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	s.Waiting = []WaitingStatus{}
	maps.DeleteFunc(j.waiting, func(_ claim, w *waiting) bool { return now.Sub(w.Last) > WaitingAge })
	for _, w := range j.waiting {
		s.Waiting = append(s.Waiting, w.WaitingStatus)
	}
	slices.SortFunc(s.Waiting, func(a, b WaitingStatus) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID)) })
	s.Flapping = j.flapping(now)
	maps.DeleteFunc(j.seen, func(_ types.ID, s *sighting) bool { return s.up.IsZero() && now.Sub(s.at) > SeenAge })
	for _, seen := range j.seen {
		if seen.side == InitiatorNative {
			s.Seen.Native++
		} else {
			s.Seen.Libp2p++
		}
	}
	for i := range s.Targets {
		t := &s.Targets[i]
		d := j.dialed[claim{t.Side, t.ID, ""}]
		t.LastDial, t.LastAnswer, t.LastResult, t.LastError = d.at, d.answered, d.kind, d.text
		t.Refuses = d.refuses && now.Sub(d.refusedAt) < RefusesAge
	}
	s.Counters = Counters{
		PairsOpened: j.opened, PairsEnded: counts(j.ended), Refusals: counts(j.refusals), Dials: counts(j.dials),
		Channels: []ChannelCounts{},
	}
	for _, side := range []string{InitiatorLibp2p, InitiatorNative} {
		channels, latency := j.meterOf(side).counts(side)
		s.Counters.Channels = append(s.Counters.Channels, channels...)
		s.Counters.Latency = append(s.Counters.Latency, latency)
	}
}

// counts returns the counts of a map in order.
func counts(m map[Count]uint64) []Count {
	list := make([]Count, 0, len(m))
	for c, n := range m {
		c.Count = n
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Side, b.Side), cmp.Compare(a.Reason, b.Reason), cmp.Compare(bit(a.Known), bit(b.Known)))
	})

	return list
}
