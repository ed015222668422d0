package demo

import (
	"errors"
	"fmt"
	"strings"
)

// Side counts the nodes of one stack.
type Side struct {
	// Peers is the number of peers of each node.
	Peers []int `json:"peers"`
	// Sent counts the messages that the nodes originated. Delivered counts, for each
	// node, the distinct messages of other nodes that it received.
	Sent      uint64 `json:"sent"`
	Delivered uint64 `json:"delivered"`
	// SentRate and DeliveredRate are per second, since the last snapshot.
	SentRate      float64 `json:"sent_per_second"`
	DeliveredRate float64 `json:"delivered_per_second"`
}

// Crossed counts the frames that arrived over the bridge, including closing frames and
// copies of messages that had arrived on another path.
type Crossed struct {
	ToLibp2p uint64 `json:"to_libp2p"`
	ToNative uint64 `json:"to_native"`
}

// Faults counts faults. All counts are zero on a good run.
type Faults struct {
	// Lost is LostOnLinks plus LostEndToEnd.
	Lost int64 `json:"lost"`
	// LostOnLinks counts frames that are missing on a link. LostEndToEnd counts, for
	// each node, messages that did not reach it on any path before the drain ended.
	LostOnLinks  int64 `json:"lost_on_links"`
	LostEndToEnd int64 `json:"lost_end_to_end"`
	// Duplicated and Reordered count frames on links.
	Duplicated uint64 `json:"duplicated"`
	Reordered  uint64 `json:"reordered"`
	// Corrupted counts dropped frames with a wrong checksum or content.
	Corrupted uint64 `json:"corrupted"`
	// LinksEnded counts peers that disconnected before the end of the run.
	LinksEnded uint64 `json:"links_ended"`
}

// Snapshot is the state of the demo, taken once a second.
type Snapshot struct {
	Kind    string  `json:"kind"`    // "second"
	Elapsed float64 `json:"elapsed"` // seconds since the clock started
	Native  Side    `json:"native"`
	Libp2p  Side    `json:"libp2p"`
	Pairs   int     `json:"pairs"` // on the bridge
	Crossed Crossed `json:"crossed"`
	Faults
}

// Summary is the result of a run.
type Summary struct {
	Kind         string  `json:"kind"`           // "summary"
	Duration     float64 `json:"duration"`       // seconds in which messages were originated
	Nodes        int     `json:"nodes"`          // of both sides, without the bridge
	NodesPerSide int     `json:"nodes_per_side"` // native, and as many libp2p
	Seed         uint64  `json:"seed"`
	Sent         uint64  `json:"sent"`      // messages originated
	Expected     uint64  `json:"expected"`  // Sent times the other nodes
	Delivered    uint64  `json:"delivered"` // messages received, each once per node
	Native       Side    `json:"native"`
	Libp2p       Side    `json:"libp2p"`
	Pairs        int     `json:"pairs"`
	Crossed      Crossed `json:"crossed"`
	Faults
}

// ErrFaulty is wrapped by the error of Summary.Err.
var ErrFaulty = errors.New("the run was not free of faults")

// Err returns nil if every message reached every node, in order and once, and messages
// crossed the bridge in both directions. Otherwise it lists the faults.
func (s *Summary) Err() error {
	var wrong []string
	fault := func(n uint64, what string) {
		if n != 0 {
			wrong = append(wrong, fmt.Sprintf("%d %s", n, what))
		}
	}
	if s.Lost != 0 {
		wrong = append(wrong, fmt.Sprintf("%d lost", s.Lost))
	}
	fault(s.Duplicated, "duplicated")
	fault(s.Reordered, "reordered")
	fault(s.Corrupted, "corrupted")
	fault(s.LinksEnded, "links ended early")
	if s.Crossed.ToLibp2p == 0 {
		wrong = append(wrong, "nothing crossed the bridge to the libp2p side")
	}
	if s.Crossed.ToNative == 0 {
		wrong = append(wrong, "nothing crossed the bridge to the native side")
	}
	if len(wrong) == 0 {
		return nil
	}

	return fmt.Errorf("%w: %s", ErrFaulty, strings.Join(wrong, ", "))
}

// sum adds up one side.
func sum(nodes []*node) (side Side, crossed uint64) {
	for _, n := range nodes {
		_, peers := n.reactor.remotes()
		side.Peers = append(side.Peers, peers)
		side.Sent += n.reactor.sent.Load()
		side.Delivered += n.reactor.delivered.Load()
		crossed += n.reactor.crossed.Load()
	}

	return side, crossed
}

// account adds up the whole cluster. It counts no message under way as lost.
func (c *cluster) account() Snapshot {
	s := Snapshot{Kind: "second", Pairs: c.pairs()}
	s.Native, s.Crossed.ToNative = sum(c.natives())
	s.Libp2p, s.Crossed.ToLibp2p = sum(c.libp2ps())
	for _, n := range c.nodes {
		s.LostOnLinks += n.reactor.lost.Load()
		s.Duplicated += n.reactor.duplicated.Load()
		s.Reordered += n.reactor.reordered.Load()
		s.Corrupted += n.reactor.corrupted.Load()
		s.LinksEnded += n.reactor.broken.Load()
	}
	s.Lost = s.LostOnLinks

	return s
}

// summarize turns the last snapshot into the summary. It counts every missing frame and
// message as lost.
func (c *cluster) summarize(last Snapshot) *Summary {
	for _, n := range c.nodes {
		last.LostOnLinks += int64(n.reactor.unfinished()) // at least the closing frame
	}
	s := &Summary{
		Kind:         "summary",
		Nodes:        len(c.nodes),
		NodesPerSide: c.perSide,
		Sent:         last.Native.Sent + last.Libp2p.Sent,
		Delivered:    last.Native.Delivered + last.Libp2p.Delivered,
		Native:       last.Native,
		Libp2p:       last.Libp2p,
		Pairs:        last.Pairs,
		Crossed:      last.Crossed,
		Faults:       last.Faults,
	}
	s.Expected = s.Sent * uint64(len(c.nodes)-1)
	s.LostEndToEnd = int64(s.Expected) - int64(s.Delivered)
	s.Lost = s.LostOnLinks + s.LostEndToEnd

	return s
}
