package simulation

import (
	"maps"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/simulation/simnet"
)

// quantity is a resource that nodes use.
type quantity int

const (
	bytesSent quantity = iota
	writesSent
	tcpDials
	queriesSent
	queriesServed
	walks
	hints
	sessionsDialed
	dialsFailed
	quantities
)

var quantityNames = [quantities]string{
	bytesSent:      "KiB sent",
	writesSent:     "messages sent (Noise records and what precedes them)",
	tcpDials:       "TCP connections dialed, identity probes among them",
	queriesSent:    "DHT queries sent and answered",
	queriesServed:  "DHT queries served",
	walks:          "DHT lookups",
	hints:          "hints to the switch",
	sessionsDialed: "sessions opened",
	dialsFailed:    "dials of the switch that came to nothing",
}

// meter holds the quantities that a node has used since it joined.
type meter struct {
	traffic simnet.Traffic
	dht     discovery.Stats
	tally   tally
}

func (n *node) meter() meter {
	return meter{traffic: n.host.Traffic(), dht: n.d.Stats(), tally: n.counted()}
}

// since returns how much of each quantity was used since before.
func (m meter) since(before meter) (spent [quantities]float64) {
	t := m.traffic.Sub(before.traffic)
	spent[bytesSent] = float64(t.BytesSent) / 1024
	spent[writesSent] = float64(t.WritesSent)
	spent[tcpDials] = float64(t.Dials)
	spent[queriesSent] = float64(m.dht.QueriesSent - before.dht.QueriesSent)
	spent[queriesServed] = float64(m.dht.QueriesServed - before.dht.QueriesServed)
	spent[walks] = float64(m.dht.Walks - before.dht.Walks)
	spent[hints] = float64(m.dht.Hints - before.dht.Hints)
	spent[sessionsDialed] = float64(m.tally.dialed - before.tally.dialed)
	for _, count := range m.tally.failuresSince(before.tally) {
		spent[dialsFailed] += float64(count)
	}

	return spent
}

// failuresSince returns how many dials have failed since before, by reason.
func (t tally) failuresSince(before tally) map[string]uint64 {
	since := maps.Clone(t.failures)
	for reason, count := range before.failures {
		if since[reason] -= count; since[reason] == 0 {
			delete(since, reason)
		}
	}

	return since
}

// Spread is the distribution of a quantity over the nodes.
type Spread struct {
	Mean float64 // of all nodes, including the seed
	Most float64 // largest value of a node other than the seed
	Seed float64
}

// Cost holds the quantities that the nodes have used in a phase.
type Cost struct {
	Spent    [quantities]Spread
	Failures map[string]float64 // failed dials per node, by reason
}

// meters reads the meters of the nodes.
func meters(nodes []*node) map[*node]meter {
	read := make(map[*node]meter, len(nodes))
	for _, n := range nodes {
		read[n] = n.meter()
	}

	return read
}

// costOf returns the cost of the nodes since their meters were read. The first node is the
// seed. A node without a meter in before counts from zero.
func costOf(nodes []*node, before map[*node]meter) Cost {
	c := Cost{Failures: make(map[string]float64)}
	for i, n := range nodes {
		now := n.meter()
		for reason, count := range now.tally.failuresSince(before[n].tally) {
			c.Failures[reason] += float64(count) / float64(len(nodes))
		}
		for q, spent := range now.since(before[n]) {
			c.Spent[q].add(spent, i == 0, len(nodes))
		}
	}

	return c
}

func (s *Spread) add(value float64, seed bool, nodes int) {
	s.Mean += value / float64(nodes)
	if seed {
		s.Seed = value
	} else {
		s.Most = max(s.Most, value)
	}
}

// State is the state of the nodes at one moment.
type State struct {
	Table       Spread // members of the routing table
	LeastTable  float64
	Inbound     Spread // sessions opened by the remote
	Conns       Spread // TCP connections
	Sessionless Spread // TCP connections without a session
	Known       Spread // peers in discovery's address book
}

func stateOf(nodes []*node) (s State) {
	for i, n := range nodes {
		stats := n.d.Stats()
		conns, peers := float64(n.host.Conns()), float64(len(n.sw.Peers().List()))
		s.Table.add(float64(stats.Table), i == 0, len(nodes))
		s.Inbound.add(float64(n.sw.Peers().NumInbound()), i == 0, len(nodes))
		s.Conns.add(conns, i == 0, len(nodes))
		s.Sessionless.add(max(0, conns-peers), i == 0, len(nodes))
		s.Known.add(float64(stats.Known), i == 0, len(nodes))
		if t := float64(stats.Table); i == 0 || t < s.LeastTable {
			s.LeastTable = t
		}
	}

	return s
}
