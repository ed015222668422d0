package tunnel

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The directions of a tunnel.
const (
	In  = "in"  // a native node has dialed the bridge
	Out = "out" // the libp2p node has asked for it
)

// The reasons for which a tunnel is refused, and what a libp2p node is told.
const (
	reasonBlocked     = "blocked"
	reasonFull        = "full"
	reasonCrowded     = "crowded"
	reasonAdmission   = "conduct"
	reasonNoHeader    = "no header"
	reasonTarget      = "target"
	reasonNoTarget    = "no tunnel"
	reasonNotAllowed  = "not allowed"
	reasonUnreachable = "unreachable"
)

var reasons = map[string]string{
	reasonBlocked:     errBlocked.Error(),
	reasonFull:        errFull.Error(),
	reasonCrowded:     errCrowded.Error(),
	reasonAdmission:   "the host is refused for a while",
	reasonNoHeader:    "a proxy has sent no PROXY header",
	reasonTarget:      "the libp2p node cannot be reached, or opens no tunnel",
	reasonNoTarget:    "the bridge has no tunnel for this node ([bridge].tunnels)",
	reasonNotAllowed:  "the bridge opens tunnels to its native nodes only ([p2p].persistent_peers)",
	reasonUnreachable: "the native node cannot be reached",
}

// Status describes the tunnels of one libp2p node; the caller owns it.
type Status struct {
	ID     types.ID `json:"id"`
	Listen string   `json:"listen"` // where native nodes dial it: its ID at the bridge
	// InReach tells that the node keeps a connection to the bridge, over which native nodes
	// reach it even where nobody can dial it.
	InReach  bool   `json:"in_reach"`
	Dialable bool   `json:"dialable"` // see Target.Dialable
	Open     []Open `json:"open"`     // oldest first
	// Since the start:
	Opened   uint64 `json:"opened"`
	ToNative uint64 `json:"to_native"` // bytes that native nodes have got
	ToLibp2p uint64 `json:"to_libp2p"` // bytes that the libp2p node has got
	// Refusals are tunnels that did not open, by direction and reason.
	Refusals []Refusals `json:"refusals"`
}

// Open is a tunnel that is open.
type Open struct {
	Direction string    `json:"direction"`
	Address   string    `json:"address"` // of the native node, IP:port
	Since     time.Time `json:"since"`
	ToNative  uint64    `json:"to_native"` // bytes
	ToLibp2p  uint64    `json:"to_libp2p"` // bytes
}

// Refusals counts tunnels that did not open.
type Refusals struct {
	Direction string `json:"direction"`
	Reason    string `json:"reason"` // one of few words
	Count     uint64 `json:"count"`
}

// link is a tunnel that is open.
type link struct {
	target             types.ID
	direction, address string
	since              time.Time
	toNative, toLibp2p atomic.Uint64
}

// counters are what is counted for each target, and the tunnels that are open.
type counters struct {
	mtx      sync.Mutex
	links    map[*link]struct{}
	ended    map[types.ID]*totals
	refusals map[types.ID]map[Refusals]uint64 // the keys have no count
}

// totals are those of the tunnels of a target that have ended.
type totals struct{ tunnels, toNative, toLibp2p uint64 }

func newCounters() counters {
	return counters{
		links: make(map[*link]struct{}), ended: make(map[types.ID]*totals), refusals: make(map[types.ID]map[Refusals]uint64),
	}
}

func (c *counters) refuse(target types.ID, direction, reason string) {
	if reason == reasonNoTarget {
		target = "" // whoever asks may have any ID
	}
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if c.refusals[target] == nil {
		c.refusals[target] = make(map[Refusals]uint64)
	}
	c.refusals[target][Refusals{Direction: direction, Reason: reason}]++
}

func (c *counters) begin(l *link) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	c.links[l] = struct{}{}
}

func (c *counters) end(l *link) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	delete(c.links, l)
	t := c.ended[l.target]
	if t == nil {
		t = &totals{}
		c.ended[l.target] = t
	}
	t.tunnels++
	t.toNative += l.toNative.Load()
	t.toLibp2p += l.toLibp2p.Load()
}

// status returns what is known of a target, without where it is reached.
func (c *counters) status(target types.ID) Status {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	s := Status{ID: target, Open: []Open{}, Refusals: []Refusals{}}
	if t := c.ended[target]; t != nil {
		s.Opened, s.ToNative, s.ToLibp2p = t.tunnels, t.toNative, t.toLibp2p
	}
	for l := range c.links {
		if l.target == target {
			s.Open = append(s.Open, Open{l.direction, l.address, l.since, l.toNative.Load(), l.toLibp2p.Load()})
			s.Opened++
			s.ToNative += l.toNative.Load()
			s.ToLibp2p += l.toLibp2p.Load()
		}
	}
	slices.SortFunc(s.Open, func(a, b Open) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Address, b.Address)) })
	for _, r := range slices.Collect(maps.Keys(c.refusals[target])) {
		r.Count = c.refusals[target][r]
		s.Refusals = append(s.Refusals, r)
	}
	slices.SortFunc(s.Refusals, func(a, b Refusals) int {
		return cmp.Or(cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Reason, b.Reason))
	})

	return s
}

// Status describes the tunnels of each target, in the order of the configuration, and then, with
// an empty ID, the refusals of nodes that have no tunnel, if there were any.
func (s *Server) Status() []Status {
	list := make([]Status, 0, len(s.config.Targets))
	for i, at := range s.Addresses() {
		target := s.counted.status(s.config.Targets[i].Node.ID)
		target.Listen, target.Dialable = at.String(), s.where(s.config.Targets[i]).Dialable()
		s.mtx.Lock()
		target.InReach = s.kept[target.ID] > 0
		s.mtx.Unlock()
		list = append(list, target)
	}
	if others := s.counted.status(""); len(others.Refusals) > 0 {
		list = append(list, others)
	}

	return list
}
