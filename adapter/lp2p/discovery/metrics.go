package discovery

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metric is a number of Stats as Prometheus has it.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*Stats) float64
}

func newMetric(name, help string, kind prometheus.ValueType, of func(*Stats) float64) metric {
	return metric{
		desc: prometheus.NewDesc(prometheus.BuildFQName("tm2", "dht", name), help, nil, nil), kind: kind, of: of,
	}
}

var metrics = [...]metric{
	newMetric("table_peers", "Members of the routing table.",
		prometheus.GaugeValue, func(s *Stats) float64 { return float64(s.Table) }),
	newMetric("known_peers", "Peers of which discovery remembers something.",
		prometheus.GaugeValue, func(s *Stats) float64 { return float64(s.Known) }),
	newMetric("refused_peers", "Peers that are left out as not of this network.",
		prometheus.GaugeValue, func(s *Stats) float64 { return float64(s.Refused) }),
	newMetric("query_connections", "Connections held for queries.",
		prometheus.GaugeValue, func(s *Stats) float64 { return float64(s.Conns) }),
	newMetric("walks_total", "Lookups of random keys, and of this node's own.",
		prometheus.CounterValue, func(s *Stats) float64 { return float64(s.Walks) }),
	newMetric("refreshes_total", "Refreshes of the routing table.",
		prometheus.CounterValue, func(s *Stats) float64 { return float64(s.Refreshes) }),
	newMetric("searches_total", "Lookups of peers that were not at their addresses.",
		prometheus.CounterValue, func(s *Stats) float64 { return float64(s.Searches) }),
	newMetric("searches_found_total", "Lookups that have found such a peer.",
		prometheus.CounterValue, func(s *Stats) float64 { return float64(s.Found) }),
	newMetric("hints_total", "Addresses given to the switch.",
		prometheus.CounterValue, func(s *Stats) float64 { return float64(s.Hints) }),
	newMetric("queries_sent_total", "Queries that were answered.",
		prometheus.CounterValue, func(s *Stats) float64 { return float64(s.QueriesSent) }),
	newMetric("queries_failed_total", "Queries that were not answered.",
		prometheus.CounterValue, func(s *Stats) float64 { return float64(s.QueriesFailed) }),
	newMetric("queries_served_total", "Queries of others.",
		prometheus.CounterValue, func(s *Stats) float64 { return float64(s.QueriesServed) }),
	newMetric("peers_dropped_total", "Peers in responses that were not believable or wanted.",
		prometheus.CounterValue, func(s *Stats) float64 { return float64(s.PeersDropped) }),
	newMetric("peers_refused_total", "Peers found not to be of this network.",
		prometheus.CounterValue, func(s *Stats) float64 { return float64(s.PeersRefused) }),
}

// collector is the Prometheus collector of a Discovery: its Stats, read on a scrape.
type collector struct{ d *Discovery }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range metrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.d.Stats()
	for _, m := range metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(&s))
	}
}

// registerer tells the nodes of a process apart, as that of the transport does.
func (d *Discovery) registerer() prometheus.Registerer {
	return prometheus.WrapRegistererWith(
		prometheus.Labels{"node": d.t.NetAddress().ID.String()}, d.opts.registerer)
}

// register begins the collection if there is a registerer.
func (d *Discovery) register() error {
	if d.opts.registerer == nil {
		return nil
	}
	if err := d.registerer().Register(collector{d}); err != nil {
		return fmt.Errorf("unable to register the metrics of discovery: %w", err)
	}

	return nil
}

// unregister undoes a register that has succeeded.
func (d *Discovery) unregister() {
	if d.opts.registerer != nil {
		d.registerer().Unregister(collector{d})
	}
}

// Stats says what discovery has done since its start, and has now.
type Stats struct {
	Table   int // members of the routing table
	Known   int // peers that are remembered, at most 2048
	Refused int // of those, peers of other networks
	Conns   int // connections held for queries

	Walks     uint64 // lookups of random keys, and of this node's own
	Refreshes uint64
	Searches  uint64 // lookups of peers that were not at their addresses
	Found     uint64 // of those, the successful ones
	Hints     uint64 // addresses given to the switch

	QueriesSent   uint64 // and answered
	QueriesFailed uint64
	QueriesServed uint64 // of others, whatever came of them

	PeersDropped uint64 // of responses, for not being believable or wanted
	PeersRefused uint64 // found to be of another network
}

// Stats returns a snapshot. Before Start it is zero.
func (d *Discovery) Stats() Stats {
	table := d.table.Load()
	if table == nil {
		return Stats{}
	}
	s := d.counters.snapshot()
	s.Table, s.Conns = table.Size(), d.pool.size()
	s.Known, s.Refused = d.records.size(time.Now())

	return s
}

// counters guards the counts of a Stats.
type counters struct {
	mtx sync.Mutex
	Stats
}

// add adds n to a field of the Stats.
func (c *counters) add(field *uint64, n int) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	*field += uint64(n)
}

func (c *counters) snapshot() Stats {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return c.Stats
}
