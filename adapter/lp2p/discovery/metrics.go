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
	return metric{prometheus.NewDesc(prometheus.BuildFQName("tm2", "dht", name), help, nil, nil), kind, of}
}

func gauge(name, help string, of func(*Stats) int) metric {
	return newMetric(name, help, prometheus.GaugeValue, func(s *Stats) float64 { return float64(of(s)) })
}

func counter(name, help string, of func(*Stats) uint64) metric {
	return newMetric(name, help, prometheus.CounterValue, func(s *Stats) float64 { return float64(of(s)) })
}

var metrics = [...]metric{
	gauge("table_peers", "Members of the routing table.", func(s *Stats) int { return s.Table }),
	gauge("known_peers", "Peers of which discovery remembers something.", func(s *Stats) int { return s.Known }),
	gauge("refused_peers", "Peers that are left out as not of this network.", func(s *Stats) int { return s.Refused }),
	gauge("query_connections", "Connections held for queries.", func(s *Stats) int { return s.Conns }),
	counter("walks_total", "Lookups of random keys, and of this node's own.", func(s *Stats) uint64 { return s.Walks }),
	counter("refreshes_total", "Refreshes of the routing table.", func(s *Stats) uint64 { return s.Refreshes }),
	counter("searches_total", "Lookups of peers that were not at their addresses.", func(s *Stats) uint64 { return s.Searches }),
	counter("searches_found_total", "Lookups that have found such a peer.", func(s *Stats) uint64 { return s.Found }),
	counter("hints_total", "Addresses given to the switch.", func(s *Stats) uint64 { return s.Hints }),
	counter("queries_sent_total", "Queries that were answered.", func(s *Stats) uint64 { return s.QueriesSent }),
	counter("queries_failed_total", "Queries that were not answered.", func(s *Stats) uint64 { return s.QueriesFailed }),
	counter("queries_served_total", "Queries of others.", func(s *Stats) uint64 { return s.QueriesServed }),
	counter("peers_dropped_total", "Peers in responses that were not believable or wanted.", func(s *Stats) uint64 { return s.PeersDropped }),
	counter("peers_refused_total", "Peers found not to be of this network.", func(s *Stats) uint64 { return s.PeersRefused }),
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

// register begins the collection if there is a registerer. The function that it returns
// ends it.
func (d *Discovery) register() (unregister func(), err error) {
	if d.opts.registerer == nil {
		return func() {}, nil
	}
	r := prometheus.WrapRegistererWith(prometheus.Labels{"node": d.t.NetAddress().ID.String()}, d.opts.registerer)
	if err := r.Register(collector{d}); err != nil {
		return nil, fmt.Errorf("unable to register the metrics of discovery: %w", err)
	}

	return func() { r.Unregister(collector{d}) }, nil
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
