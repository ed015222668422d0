package lp2p

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
)

// outcome is how a handshake, a probe or a session ended, as a label. The first outcomes
// are the codes of refusals.
type outcome uint8

const (
	outcomeOther   = outcome(compat.RejectClosing) + 1 + iota // an unknown code
	outcomeOK                                                 // without an error
	outcomeBusy                                               // too many handshakes under way
	outcomeFailed                                             // neither side gave a reason
	outcomeStopped                                            // by this node
	outcomeWrongID                                            // another node answered
	outcomeForeign                                            // something that is not libp2p answered
	outcomes       = iota + int(compat.RejectClosing) + 1
)

func (o outcome) String() string {
	if o < outcomeOther {
		return compat.RejectCode(o).String()
	}

	return [...]string{"other", "ok", "busy", "failed", "stopped", "wrong_id", "foreign"}[o-outcomeOther]
}

// outcomeOf classifies an error: by the code of a refusal of either side if there is one.
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
	case errors.Is(err, places.ErrFull):
		return outcomeBusy
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

// channelTraffic is what sessions have sent, received and queued on one channel.
type channelTraffic struct {
	sent, sentBytes, received, receivedBytes uint64
	full                                     uint64 // messages that found no room in the send queue
	queued                                   int    // messages in the send queue
}

// traffic is by channel. It has only channels of this node's own descriptors, so that no
// remote makes it grow.
type traffic map[byte]channelTraffic

func (t traffic) add(channel byte, c channelTraffic) {
	sum := t[channel]
	t[channel] = channelTraffic{
		sent: sum.sent + c.sent, sentBytes: sum.sentBytes + c.sentBytes,
		received: sum.received + c.received, receivedBytes: sum.receivedBytes + c.receivedBytes,
		full: sum.full + c.full, queued: sum.queued + c.queued,
	}
}

// metrics is the Prometheus collector of a transport. It counts handshakes, refusals and
// goodbyes, and reads on a scrape what sessions count.
type metrics struct {
	t          *Transport
	unregister func() // undoes register

	handshakes [len(directions)]counters
	probes     counters
	ended      counters // sessions; by the code of the remote's goodbye if it has sent one
	rejects    exchanged
	goodbyes   exchanged // without answers
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
		"Messages that found no room in the send queue, at once or until Send gave up, by channel.", "channel")
	descQueue = desc("send_queue_messages",
		"Messages in the send queues, by channel.", "channel")
	descQueueBytes = desc("send_queue_bytes",
		"Bytes of messages that are accepted and not yet written.")
)

func newMetrics(t *Transport) *metrics {
	return &metrics{t: t, unregister: func() {}, retired: make(traffic)}
}

// register begins the collection if there is a registerer. The node's label allows the
// transports of a process to share one.
func (m *metrics) register() error {
	if m.t.opts.registerer == nil {
		return nil
	}
	r := prometheus.WrapRegistererWith(prometheus.Labels{"node": m.t.id.String()}, m.t.opts.registerer)
	if err := r.Register(m); err != nil {
		return fmt.Errorf("unable to register the metrics of %s: %w", m.t.id, err)
	}
	m.unregister = func() { r.Unregister(m) }

	return nil
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

	peers, channels, queuedBytes := m.read()
	counter := func(desc *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(desc *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), labels...)
	}
	for i, n := range peers {
		gauge(descPeers, n, directions[i])
	}
	gauge(descQueueBytes, queuedBytes)
	for id, c := range channels {
		label := fmt.Sprintf("%#02x", id)
		counter(descSent, c.sent, label)
		counter(descSentBytes, c.sentBytes, label)
		counter(descReceived, c.received, label)
		counter(descReceivedBytes, c.receivedBytes, label)
		counter(descFull, c.full, label)
		gauge(descQueue, c.queued, label)
	}
}

// read sums up all sessions. It holds their lock meanwhile, so that no session is counted
// twice or not at all while it ends.
func (m *metrics) read() (peers [len(directions)]int, sum traffic, queuedBytes int) {
	m.t.sessions.mtx.Lock()
	defer m.t.sessions.mtx.Unlock()
	sum = maps.Clone(m.retired)
	for _, s := range m.t.sessions.active() {
		bytes, ok := s.addTo(sum)
		queuedBytes += bytes
		switch {
		case ok && s.outbound:
			peers[dirOut]++
		case ok:
			peers[dirIn]++
		}
	}

	return peers, sum, queuedBytes
}

// retire keeps the counts of a session that has ended. The caller holds the lock of the
// sessions, and removes the session from the active ones.
func (m *metrics) retire(s *session) {
	if _, ok := s.addTo(m.retired); !ok {
		return // its handshake was not done
	}
	s.mtx.Lock()
	cause := s.cause
	if s.flushing {
		cause = errStopped // also if the remote ended it first, after our goodbye
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
	if stream.IsLost(cause) {
		return outcomeFailed // as outcomeOf says, which asks a lot more
	}

	return outcomeOf(cause)
}

// addTo adds what the session has counted, and returns the bytes that it has queued. It
// returns false before the handshake is done.
func (s *session) addTo(t traffic) (queuedBytes int, ok bool) {
	s.mtx.Lock()
	out := s.out
	for id, in := range s.inbound {
		t.add(id, channelTraffic{received: in.delivered.Load(), receivedBytes: in.bytes.Load()})
	}
	s.mtx.Unlock()
	if out == nil {
		return 0, false
	}

	out.mtx.Lock()
	defer out.mtx.Unlock()
	for _, c := range out.order {
		t.add(c.desc.ID, channelTraffic{sent: c.sent, sentBytes: c.sentBytes, full: c.full, queued: len(c.queue)})
	}

	return out.bytes, true
}
