package bridgehttp

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
)

const (
	namespace = "tm2"
	subsystem = "bridge"
)

// collector turns a status into metrics. All labels have few values, none of which a remote
// chooses, except channels, of which there are at most 256.
type collector struct {
	server *Server

	info, started, healthy, ready, pairs, maxPairs, slots, waiting, seen, targets *prometheus.Desc
	tunnels, tunnelReach, tunnelAway, tunnelsOpened, tunnelBytes, tunnelRefusals  *prometheus.Desc
	sideReady, flapping                                                           *prometheus.Desc
	opened, ended, messages, bytes, dropped, queued, refusals, dials, latency     *prometheus.Desc
}

func newCollector(s *Server) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, labels, nil)
	}

	return &collector{
		server:         s,
		info:           desc("info", "1, with the ID and the version of the bridge.", "id", "version"),
		started:        desc("start_time_seconds", "When the bridge was started, in Unix seconds."),
		healthy:        desc("health", "1 for the state of the bridge and 0 for the others.", "state"),
		ready:          desc("ready", "1 while a node that dials could get a pair, else 0."),
		sideReady:      desc("side_ready", "1 while a node that dials from the side could get a pair, else 0; only sides that are in use.", "side"),
		flapping:       desc("flapping_nodes", "Nodes whose pairs end again and again, by the side that dials.", "side"),
		pairs:          desc("pairs", "Pairs that are up, by the side that dialed.", "initiator"),
		maxPairs:       desc("max_pairs", "Limit on the slots."),
		slots:          desc("slots_taken", "Slots that are taken."),
		waiting:        desc("waiting_nodes", "Nodes that were refused within 15 minutes and have no pair, by the side that dials, and whether they are known.", "side", "known"),
		seen:           desc("seen_nodes", "Nodes seen within 24 hours, by their stack.", "stack"),
		targets:        desc("targets", "Targets, by side and state, and whether they are configured.", "side", "state", "configured"),
		tunnels:        desc("tunnels", "Tunnels that are open, by direction.", "direction"),
		tunnelReach:    desc("tunnel_targets_in_reach", "Nodes with a tunnel that keep a connection to the bridge."),
		tunnelAway:     desc("tunnel_targets_away", "Nodes with a tunnel that keep no connection to the bridge, and of which it has no address."),
		tunnelsOpened:  desc("tunnels_opened_total", "Tunnels that were opened."),
		tunnelBytes:    desc("tunnel_bytes_total", "Bytes passed on in tunnels, by the side that got them.", "to"),
		tunnelRefusals: desc("tunnel_refusals_total", "Tunnels that did not open, by direction and reason.", "direction", "reason"),
		opened:         desc("pairs_opened_total", "Pairs that came up."),
		ended:          desc("pairs_ended_total", "Pairs that ended, by the side that ended them, the bridge, or a block, and whether the node that dialed was known.", "by", "known"),
		messages:       desc("messages_total", "Messages relayed, by the side that got them and the channel.", "to", "channel"),
		bytes:          desc("bytes_total", "Payload bytes relayed, by the side that got them and the channel.", "to", "channel"),
		dropped:        desc("messages_dropped_total", "Messages that the far node did not take within 10 s, and whose pairs have ended.", "to", "channel"),
		queued:         desc("queue_messages", "Messages that wait to be sent, by side and channel.", "to", "channel"),
		refusals:       desc("refusals_total", "Nodes that dialed and got no pair, by side and reason.", "side", "reason"),
		dials:          desc("dials_total", "Dials of targets, by side and result.", "side", "result"),
		latency:        desc("relay_seconds", "Time from a message's arrival until the far node's queue took it.", "to"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.info, c.started, c.healthy, c.ready, c.sideReady, c.flapping, c.pairs, c.maxPairs, c.slots, c.waiting, c.seen, c.targets,
		c.tunnels, c.tunnelReach, c.tunnelAway, c.tunnelsOpened, c.tunnelBytes, c.tunnelRefusals,
		c.opened, c.ended, c.messages, c.bytes, c.dropped, c.queued, c.refusals, c.dials, c.latency,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.server.source.Status()
	health := Judge(s)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.info, 1, s.ID.String(), c.server.options.version)
	if !s.Started.IsZero() {
		gauge(c.started, float64(s.Started.UnixNano())/float64(time.Second))
	}
	for _, state := range []string{StateOK, StateIdle, StateDegraded, StateDown} {
		gauge(c.healthy, one(health.State == state), state)
	}
	gauge(c.ready, one(health.Ready))
	for _, side := range health.Sides {
		if side.Used {
			gauge(c.sideReady, one(side.Ready), side.Initiator)
		}
	}
	gauge(c.maxPairs, float64(s.MaxPairs))
	gauge(c.slots, float64(s.SlotsTaken))
	gauge(c.seen, float64(s.Seen.Native), bridge.InitiatorNative)
	gauge(c.seen, float64(s.Seen.Libp2p), bridge.InitiatorLibp2p)
	for _, side := range []string{bridge.InitiatorNative, bridge.InitiatorLibp2p} {
		pairs, flapping := 0, 0
		var known, strangers float64
		for _, p := range s.Pairs {
			pairs += int(one(p.Initiator == side))
		}
		for _, w := range s.Waiting {
			known += one(w.Initiator == side && w.Known)
			strangers += one(w.Initiator == side && !w.Known)
		}
		for _, f := range s.Flapping {
			flapping += int(one(f.Initiator == side))
		}
		gauge(c.flapping, float64(flapping), side)
		gauge(c.pairs, float64(pairs), side)
		gauge(c.waiting, known, side, "true")
		gauge(c.waiting, strangers, side, "false")
		for _, state := range []string{bridge.TargetPaired, bridge.TargetReady, bridge.TargetTroubled, bridge.TargetDown, bridge.TargetBlocked} {
			for _, configured := range []bool{true, false} {
				n := 0
				for _, t := range s.Targets {
					n += int(one(t.Side == side && t.State == state && t.Configured == configured))
				}
				gauge(c.targets, float64(n), side, state, strconv.FormatBool(configured))
			}
		}
	}
	for key, n := range queues(s) {
		gauge(c.queued, float64(n), key.side, channelName(key.channel))
	}
	c.collectCounters(out, s.Counters)
	gauge(c.tunnelAway, float64(tunnelsNow(s).away))
	c.collectTunnels(out, s.Tunnels)
}

// collectTunnels sums up the tunnels of all targets, of which the status has each.
func (c *collector) collectTunnels(out chan<- prometheus.Metric, targets []tunnel.Status) {
	inReach := 0.0
	open := map[string]float64{tunnel.In: 0, tunnel.Out: 0}
	var opened, toNative, toLibp2p uint64
	refusals := make(map[tunnel.Refusals]uint64)
	for _, t := range targets {
		inReach += one(t.InReach)
		opened, toNative, toLibp2p = opened+t.Opened, toNative+t.ToNative, toLibp2p+t.ToLibp2p
		for _, o := range t.Open {
			open[o.Direction]++
		}
		for _, r := range t.Refusals {
			refusals[tunnel.Refusals{Direction: r.Direction, Reason: r.Reason}] += r.Count
		}
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for direction, n := range open {
		out <- prometheus.MustNewConstMetric(c.tunnels, prometheus.GaugeValue, n, direction)
	}
	out <- prometheus.MustNewConstMetric(c.tunnelReach, prometheus.GaugeValue, inReach)
	counter(c.tunnelsOpened, opened)
	counter(c.tunnelBytes, toNative, bridge.InitiatorNative)
	counter(c.tunnelBytes, toLibp2p, bridge.InitiatorLibp2p)
	for r, n := range refusals {
		counter(c.tunnelRefusals, n, r.Direction, r.Reason)
	}
}

func (c *collector) collectCounters(out chan<- prometheus.Metric, s bridge.Counters) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	counter(c.opened, s.PairsOpened)
	for _, n := range s.PairsEnded {
		counter(c.ended, n.Count, n.Side, strconv.FormatBool(n.Known))
	}
	for _, n := range s.Refusals {
		counter(c.refusals, n.Count, n.Side, n.Reason)
	}
	for _, n := range s.Dials {
		counter(c.dials, n.Count, n.Side, n.Reason)
	}
	for _, ch := range s.Channels {
		name := channelName(ch.Channel)
		counter(c.messages, ch.Messages, ch.To, name)
		counter(c.bytes, ch.Bytes, ch.To, name)
		counter(c.dropped, ch.Dropped, ch.To, name)
	}
	for _, l := range s.Latency {
		buckets := make(map[float64]uint64, len(l.Bounds))
		for i, bound := range l.Bounds {
			buckets[bound] = l.Counts[i]
		}
		out <- prometheus.MustNewConstHistogram(c.latency, l.Counts[len(l.Counts)-1], l.Sum, buckets, l.To)
	}
}

type queueKey struct {
	side    string
	channel byte
}

// queues sums up the queues of all pairs.
func queues(s bridge.Status) map[queueKey]int {
	sums := make(map[queueKey]int)
	for _, p := range s.Pairs {
		for _, q := range p.Native.Channels {
			sums[queueKey{bridge.InitiatorNative, q.Channel}] += q.Queued
		}
		for _, q := range p.Libp2p.Channels {
			sums[queueKey{bridge.InitiatorLibp2p, q.Channel}] += q.Queued
		}
	}

	return sums
}

func channelName(ch byte) string { return fmt.Sprintf("%#02x", ch) }

func one(condition bool) float64 {
	if condition {
		return 1
	}

	return 0
}
