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
	// LinksEnded counts peers that disconnected during the run.
	LinksEnded uint64 `json:"links_ended"`
}

// Totals are the counts of a run.
type Totals struct {
	Native  Side    `json:"native"`
	Libp2p  Side    `json:"libp2p"`
	Pairs   int     `json:"pairs"` // on the bridge
	Crossed Crossed `json:"crossed"`
	Faults
}

// Snapshot is the state of the demo, taken once a second.
type Snapshot struct {
	Kind    string  `json:"kind"`    // "second"
	Elapsed float64 `json:"elapsed"` // seconds since the clock started
	Totals
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
	Totals
}

// ErrFaulty is wrapped by the error of Summary.Err.
var ErrFaulty = errors.New("the run was not free of faults")

// Err returns nil if every message reached every node, in order and once, and messages
// crossed the bridge in both directions. Otherwise it lists the faults.
func (s *Summary) Err() error {
	var faults []string
	list := func(isFault bool, format string, args ...any) {
		if isFault {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	list(s.Lost != 0, "%d lost", s.Lost)
	list(s.Duplicated != 0, "%d duplicated", s.Duplicated)
	list(s.Reordered != 0, "%d reordered", s.Reordered)
	list(s.Corrupted != 0, "%d corrupted", s.Corrupted)
	list(s.LinksEnded != 0, "%d links ended early", s.LinksEnded)
	list(s.Crossed.ToLibp2p == 0, "nothing crossed the bridge to the libp2p side")
	list(s.Crossed.ToNative == 0, "nothing crossed the bridge to the native side")
	if len(faults) == 0 {
		return nil
	}

	return fmt.Errorf("%w: %s", ErrFaulty, strings.Join(faults, ", "))
}

// account adds up the whole cluster. It counts no message under way as lost.
func (c *cluster) account() Snapshot {
	s := Snapshot{Kind: "second"}
	s.Pairs = c.pairs()
	for _, n := range c.natives() {
		n.reactor.addTo(&s.Native, &s.Crossed.ToNative, &s.Faults)
	}
	for _, n := range c.libp2ps() {
		n.reactor.addTo(&s.Libp2p, &s.Crossed.ToLibp2p, &s.Faults)
	}
	s.Lost = s.LostOnLinks

	return s
}

// summarize returns the summary of a run that has ended. It counts every missing frame and
// message as lost.
func (c *cluster) summarize() *Summary {
	s := &Summary{Kind: "summary", Nodes: len(c.nodes), NodesPerSide: c.perSide, Totals: c.account().Totals}
	for _, n := range c.nodes {
		s.LostOnLinks += int64(n.reactor.unfinished()) // at least the closing frame
	}
	s.Sent = s.Native.Sent + s.Libp2p.Sent
	s.Delivered = s.Native.Delivered + s.Libp2p.Delivered
	s.Expected = s.Sent * uint64(len(c.nodes)-1)
	s.LostEndToEnd = int64(s.Expected) - int64(s.Delivered)
	s.Lost = s.LostOnLinks + s.LostEndToEnd

	return s
}
