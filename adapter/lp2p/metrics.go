package lp2p

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// outcome is how a handshake, a probe or a session ended, as a label.
type outcome uint8

// The first outcomes are the codes of refusals.
const (
	outcomeOther   = outcome(compat.RejectClosing) + 1 + iota // a code that is not known
	outcomeOK                                                 // as it should
	outcomeBusy                                               // too many handshakes under way
	outcomeFailed                                             // without a reason from either side
	outcomeStopped                                            // by this node
	outcomeWrongID                                            // somebody else answered
	outcomeForeign                                            // something that is not libp2p answered
	outcomes       = iota + int(compat.RejectClosing) + 1
)

func (o outcome) String() string {
	switch o {
	case outcomeOther:
		return "other"
	case outcomeOK:
		return "ok"
	case outcomeBusy:
		return "busy"
	case outcomeFailed:
		return "failed"
	case outcomeStopped:
		return "stopped"
	case outcomeWrongID:
		return "wrong_id"
	case outcomeForeign:
		return "foreign"
	default:
		return compat.RejectCode(o).String()
	}
}

// outcomeOf classifies an error. The code of a refusal counts, by whomever.
func outcomeOf(err error) outcome {
	var reject *compat.RejectError
	switch {
	case err == nil:
		return outcomeOK
	case errors.Is(err, errStopped):
		return outcomeStopped
	case errors.As(err, &reject):
		return outcomeOfCode(reject.Code)
	case errors.Is(err, compat.ErrTransportClosed):
		return outcome(compat.RejectClosing)
	}
	switch compat.ClassifyDial(err) {
	case compat.DialWrongID:
		return outcomeWrongID
	case compat.DialBusy:
		return outcomeBusy
	case compat.DialForeign:
		return outcomeForeign
	default:
		return outcomeFailed
	}
}

func outcomeOfCode(code compat.RejectCode) outcome {
	return min(outcome(code), outcomeOther)
}

// counters counts by outcome.
type counters [outcomes]atomic.Uint64

func (c *counters) count(o outcome) { c[o].Add(1) }

func (c *counters) collect(ch chan<- prometheus.Metric, desc *prometheus.Desc, labels ...string) {
	for i := range c {
		if n := c[i].Load(); n > 0 {
			ch <- prometheus.MustNewConstMetric(
				desc, prometheus.CounterValue, float64(n), append(labels, outcome(i).String())...)
		}
	}
}

// volume is what has passed on a channel in one direction.
type volume struct {
	messages, bytes uint64
}

func (v *volume) add(messages, bytes uint64) {
	v.messages += messages
	v.bytes += bytes
}

// channelTraffic is what sessions have sent and received on one channel.
type channelTraffic struct {
	sent, received volume
	full           uint64 // messages that found no place in the send queue
}

// traffic is by channel. Only channels of this node's own descriptors come in, so
// that no remote makes it grow.
type traffic map[byte]*channelTraffic

// on returns the traffic of a channel, to be added to.
func (t traffic) on(channel byte) *channelTraffic {
	c := t[channel]
	if c == nil {
		c = new(channelTraffic)
		t[channel] = c
	}

	return c
}

// queued is what sessions have not sent yet.
type queued struct {
	messages map[byte]int // by channel; what no writer has taken
	bytes    int          // of messages accepted and not yet written
}

// metrics is the Prometheus collector of a transport. Its events are counted as
// they come; what sessions count anyhow is read on a scrape.
type metrics struct {
	t *Transport

	handshakes [len(directions)]counters
	probes     counters
	ended      counters // sessions; by the code of the remote's goodbye if it has sent one
	rejects    exchanged
	goodbyes   exchanged // without those that answer one
	retired    traffic   // of sessions that have ended; guarded by sessions.mtx
}

// exchanged counts messages of one kind by their code.
type exchanged struct {
	sent, received counters
}

// The directions of sessions, by who dialed.
const (
	dirIn = iota
	dirOut
)

var directions = [...]string{dirIn: "inbound", dirOut: "outbound"}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("tm2", "p2p", name), help, labels, nil)
}

var (
	descPeers = desc("peers",
		"Sessions whose handshake is done, by who dialed.", "direction")
	descHandshakes = desc("handshakes_total",
		"Session handshakes, by who dialed and how they ended; refusals by their code.", "direction", "result")
	descProbes = desc("probes_total",
		"Questions to an address who answers there, by what came of them.", "result")
	descEnded = desc("sessions_ended_total",
		"Sessions that have ended: stopped by this node, failed, or by the code of a refusal or goodbye.", "reason")
	descRejectsSent = desc("rejects_sent_total",
		"Refusals sent in answer to a handshake, by code.", "code")
	descRejectsReceived = desc("rejects_received_total",
		"Refusals received in answer to a handshake, by code.", "code")
	descGoodbyesSent = desc("goodbyes_sent_total",
		"Goodbyes sent, without answers to one, by code.", "code")
	descGoodbyesReceived = desc("goodbyes_received_total",
		"Goodbyes received, without answers to one, by code.", "code")
	descSent = desc("messages_sent_total",
		"Messages handed to the connection, by channel.", "channel")
	descReceived = desc("messages_received_total",
		"Messages that the reactors have received, by channel.", "channel")
	descSentBytes = desc("message_send_bytes_total",
		"Bytes of messages handed to the connection, by channel.", "channel")
	descReceivedBytes = desc("message_receive_bytes_total",
		"Bytes of messages that the reactors have received, by channel.", "channel")
	descFull = desc("send_queue_full_total",
		"Messages that found no place in the send queue, at once or until Send gave up, by channel.", "channel")
	descQueue = desc("send_queue_messages",
		"Messages in the send queues, by channel.", "channel")
	descQueueBytes = desc("send_queue_bytes",
		"Bytes of messages that are accepted and not yet written.")
)

func newMetrics(t *Transport) *metrics { return &metrics{t: t, retired: make(traffic)} }

// nodeRegisterer tells the transports of a process apart.
func nodeRegisterer(r prometheus.Registerer, id types.ID) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"node": id.String()}, r)
}

// register begins the collection if there is a registerer.
func (m *metrics) register() error {
	r := m.t.opts.registerer
	if r == nil {
		return nil
	}
	if err := nodeRegisterer(r, m.t.id).Register(m); err != nil {
		return fmt.Errorf("unable to register the metrics of %s: %w", m.t.id, err)
	}

	return nil
}

// unregister undoes a register that has succeeded.
func (m *metrics) unregister() {
	if r := m.t.opts.registerer; r != nil {
		nodeRegisterer(r, m.t.id).Unregister(m)
	}
}

// Describe implements prometheus.Collector.
func (*metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descPeers, descHandshakes, descProbes, descEnded,
		descRejectsSent, descRejectsReceived, descGoodbyesSent, descGoodbyesReceived,
		descSent, descReceived, descSentBytes, descReceivedBytes, descFull, descQueue, descQueueBytes,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for i := range m.handshakes {
		m.handshakes[i].collect(ch, descHandshakes, directions[i])
	}
	m.probes.collect(ch, descProbes)
	m.ended.collect(ch, descEnded)
	m.rejects.sent.collect(ch, descRejectsSent)
	m.rejects.received.collect(ch, descRejectsReceived)
	m.goodbyes.sent.collect(ch, descGoodbyesSent)
	m.goodbyes.received.collect(ch, descGoodbyesReceived)

	peers, t, q := m.read()
	for i, n := range peers {
		ch <- prometheus.MustNewConstMetric(descPeers, prometheus.GaugeValue, float64(n), directions[i])
	}
	t.collect(ch)
	for id, n := range q.messages {
		ch <- prometheus.MustNewConstMetric(descQueue, prometheus.GaugeValue, float64(n), channelLabel(id))
	}
	ch <- prometheus.MustNewConstMetric(descQueueBytes, prometheus.GaugeValue, float64(q.bytes))
}

func (t traffic) collect(ch chan<- prometheus.Metric) {
	for id, c := range t {
		for desc, n := range map[*prometheus.Desc]uint64{
			descSent: c.sent.messages, descSentBytes: c.sent.bytes,
			descReceived: c.received.messages, descReceivedBytes: c.received.bytes,
			descFull: c.full,
		} {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), channelLabel(id))
		}
	}
}

// channelLabel writes a channel as its definitions do.
func channelLabel(id byte) string { return fmt.Sprintf("%#02x", id) }

// read sums up all sessions. It holds their lock meanwhile: the counts of a session
// that ends must not go back.
func (m *metrics) read() (peers [len(directions)]int, sum traffic, q *queued) {
	sum, q = make(traffic), &queued{messages: make(map[byte]int)}
	m.t.sessions.mtx.Lock()
	defer m.t.sessions.mtx.Unlock()

	sum.add(m.retired)
	for _, s := range m.t.sessions.active() {
		if !s.addTo(sum, q) {
			continue
		}
		if s.outbound {
			peers[dirOut]++
		} else {
			peers[dirIn]++
		}
	}

	return peers, sum, q
}

// retire keeps the counts of a session that ends. The caller holds the lock of the
// sessions, and takes the session out of its reach.
func (m *metrics) retire(s *session) {
	if !s.addTo(m.retired, nil) {
		return // its handshake was not done
	}
	s.mtx.Lock()
	cause := s.cause
	if s.flushing {
		cause = errStopped // the remote may have ended it first, as it was told
	}
	s.mtx.Unlock()
	m.ended.count(endedBy(cause))
}

// endedBy classifies the reason of a session's end.
func endedBy(cause error) outcome {
	var bye *GoodbyeError
	if errors.As(cause, &bye) {
		return outcomeOfCode(bye.Code)
	}
	if errors.Is(cause, ErrConnClosed) {
		return outcomeStopped
	}

	return outcomeOf(cause)
}

func (t traffic) add(other traffic) {
	for id, c := range other {
		sum := t.on(id)
		sum.sent.add(c.sent.messages, c.sent.bytes)
		sum.received.add(c.received.messages, c.received.bytes)
		sum.full += c.full
	}
}

// addTo adds what the session has counted, and unless q is nil what it has queued.
// It returns false before the handshake is done.
func (s *session) addTo(t traffic, q *queued) bool {
	s.mtx.Lock()
	out := s.out
	for id, in := range s.inbound {
		t.on(id).received.add(in.delivered.Load(), in.bytes.Load())
	}
	s.mtx.Unlock()
	if out == nil {
		return false
	}

	out.mtx.Lock()
	defer out.mtx.Unlock()
	for _, c := range out.order {
		sum := t.on(c.desc.ID)
		sum.sent.add(c.sent, c.sentBytes)
		sum.full += c.full
		if q != nil {
			q.messages[c.desc.ID] += len(c.queue)
		}
	}
	if q != nil {
		q.bytes += out.bytes
	}

	return true
}
