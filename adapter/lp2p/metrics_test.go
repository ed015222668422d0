package lp2p

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// scrape returns the values of all series of a node, by name and labels.
func scrape(t require.TestingT, r prometheus.Gatherer, id types.ID) map[string]float64 {
	families, err := r.Gather()
	require.NoError(t, err)
	values := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			ours := !strings.HasPrefix(f.GetName(), "tm2_")
			for _, l := range m.GetLabel() {
				if l.GetName() == "node" {
					ours = l.GetValue() == id.String()
				} else {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
			}
			if ours {
				values[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}

	return values
}

// requireSeries waits until these series of a node have these values: the end of a session
// is counted by another goroutine than the one that has caused it.
func requireSeries(t testing.TB, r prometheus.Gatherer, id types.ID, want map[string]float64) {
	t.Helper()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		have := scrape(t, r, id)
		for name, value := range want {
			found, ok := have[name]
			assert.True(t, ok, "no %s", name)
			assert.InDelta(t, value, found, 0, name)
		}
	}, patience, time.Millisecond)
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	a, b := newNode(t, nil, WithPrometheus(registry)), newNode(t, nil, WithPrometheus(registry))
	pa, pb := connect(t, a, b)
	for range 3 {
		require.True(t, pa.Send(chA, make([]byte, 1000)))
	}
	require.True(t, pa.Send(chC, make([]byte, 500)))
	require.True(t, pb.Send(chB, make([]byte, 10)))
	b.reactor.await(t, 4)
	a.reactor.await(t, 1)
	requireSeries(t, registry, a.key.ID(), map[string]float64{
		"tm2_p2p_peers{direction=outbound}": 1, "tm2_p2p_peers{direction=inbound}": 0,
	})
	requireSeries(t, registry, b.key.ID(), map[string]float64{
		"tm2_p2p_peers{direction=outbound}": 0, "tm2_p2p_peers{direction=inbound}": 1,
	})
	pa.FlushStop()
	b.failure(t)
	stopped(t, pb)

	// The counts outlive the session.
	sent := map[string]float64{
		"tm2_p2p_peers{direction=outbound}":                      0,
		"tm2_p2p_probes_total{result=ok}":                        1,
		"tm2_p2p_handshakes_total{direction=outbound,result=ok}": 1,
		"tm2_p2p_sessions_ended_total{reason=stopped}":           1,
		"tm2_p2p_messages_sent_total{channel=0x20}":              3,
		"tm2_p2p_messages_sent_total{channel=0x40}":              1,
		"tm2_p2p_messages_received_total{channel=0x21}":          1,
		"tm2_p2p_message_send_bytes_total{channel=0x20}":         3000,
		"tm2_p2p_message_send_bytes_total{channel=0x21}":         0,
		"tm2_p2p_message_send_bytes_total{channel=0x40}":         500,
		"tm2_p2p_message_receive_bytes_total{channel=0x21}":      10,
		"tm2_p2p_goodbyes_sent_total{code=unspecified}":          1,
		"tm2_p2p_send_queue_bytes{}":                             0,
	}
	requireSeries(t, registry, a.key.ID(), sent)
	requireSeries(t, registry, b.key.ID(), map[string]float64{
		"tm2_p2p_peers{direction=inbound}":                      0,
		"tm2_p2p_handshakes_total{direction=inbound,result=ok}": 1,
		"tm2_p2p_sessions_ended_total{reason=unspecified}":      1, // a goodbye without a reason
		"tm2_p2p_messages_received_total{channel=0x20}":         3,
		"tm2_p2p_message_receive_bytes_total{channel=0x20}":     3000,
		"tm2_p2p_message_receive_bytes_total{channel=0x40}":     500,
		"tm2_p2p_message_send_bytes_total{channel=0x21}":        10,
		"tm2_p2p_goodbyes_received_total{code=unspecified}":     1,
	})

	// A further session adds to them.
	pa, _ = connect(t, a, b)
	require.True(t, pa.Send(chA, make([]byte, 7)))
	b.reactor.await(t, 5)
	sent["tm2_p2p_messages_sent_total{channel=0x20}"]++
	sent["tm2_p2p_message_send_bytes_total{channel=0x20}"] += 7
	sent["tm2_p2p_peers{direction=outbound}"]++
	sent["tm2_p2p_handshakes_total{direction=outbound,result=ok}"]++
	requireSeries(t, registry, a.key.ID(), sent)
}

// Libp2p's own metrics, which are those of the process, are on the same registerer:
// of the host's swarm, identify, event bus and resource manager.
func TestMetricsOfLibp2p(t *testing.T) {
	registry := prometheus.NewRegistry()
	a, b := newNode(t, nil), newNode(t, nil, WithPrometheus(registry), WithQUIC())
	connect(t, a, b)
	for _, prefix := range []string{
		"tm2_p2p_peers", "libp2p_rcmgr_connections{dir=inbound,scope=system}", "libp2p_swarm_connections_opened_total",
		"libp2p_identify_protocols_count", "libp2p_eventbus_events_emitted_total",
	} {
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			sum := 0.0
			for name, value := range scrape(t, registry, b.key.ID()) {
				if strings.HasPrefix(name, prefix) {
					sum += value
				}
			}
			assert.Positive(t, sum, prefix)
		}, patience, time.Millisecond)
	}
}

// The sessions that were opened, less those that have ended, are the peers.
func TestMetricsBalance(t *testing.T) {
	registry := prometheus.NewRegistry()
	a := newNode(t, nil, WithPrometheus(registry), patientGoodbye())
	b := newNode(t, nil, WithPrometheus(registry), patientGoodbye())
	for i := range 3 {
		pa, pb := connect(t, a, b)
		switch i {
		case 0:
			require.NoError(t, pa.StopForReason(compat.Reject(compat.RejectBanned, "")))
			b.failure(t)
		case 1:
			require.NoError(t, pb.s.control.Reset())
			a.failure(t)
		}
	}
	requireSeries(t, registry, a.key.ID(), map[string]float64{
		"tm2_p2p_handshakes_total{direction=outbound,result=ok}": 3,
		"tm2_p2p_sessions_ended_total{reason=stopped}":           1,
		"tm2_p2p_sessions_ended_total{reason=failed}":            1,
		"tm2_p2p_peers{direction=outbound}":                      1,
		"tm2_p2p_goodbyes_sent_total{code=banned}":               1,
	})
	requireSeries(t, registry, b.key.ID(), map[string]float64{
		"tm2_p2p_handshakes_total{direction=inbound,result=ok}": 3,
		"tm2_p2p_sessions_ended_total{reason=banned}":           1,
		"tm2_p2p_sessions_ended_total{reason=failed}":           1,
		"tm2_p2p_peers{direction=inbound}":                      1,
		"tm2_p2p_goodbyes_received_total{code=banned}":          1,
	})
}

// Channels and codes that a remote makes up become no labels.
func TestMetricsAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	n, r := newNode(t, func(i *types.NodeInfo) { i.Channels = []byte{chA, chB, chC} }, WithPrometheus(registry)), newRaw(t)
	r.info.Channels = []byte{chA, 0x98, 0x99}
	c, ctrl, e, p := r.session(n)
	require.False(t, p.Send(0x98, []byte("not ours")))
	_, err := ctrl.Write(control.Append(nil, &control.Goodbye{Code: 200, Counts: []control.ChannelCount{{Channel: 0x97, Messages: 1}}}))
	require.NoError(t, err)
	r.data(c, e, 0x99, message('x')...)
	n.failure(t)
	stopped(t, p)
	requireSeries(t, registry, n.key.ID(), map[string]float64{
		"tm2_p2p_goodbyes_received_total{code=other}": 1,
		"tm2_p2p_peers{direction=inbound}":            0,
	})
	for name := range scrape(t, registry, n.key.ID()) {
		require.NotContains(t, name, "channel=0x9")
		require.NotContains(t, name, "200")
	}
}

// A scrape while sessions come, send and end never shows less than the one before.
func TestMetricsNeverGoDown(t *testing.T) {
	registry := prometheus.NewRegistry()
	a, b := newNode(t, nil, WithPrometheus(registry)), newNode(t, nil, WithPrometheus(registry))
	done := make(chan struct{})
	var scraper sync.WaitGroup
	scraper.Go(func() {
		last := make(map[string]float64)
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			for _, id := range []types.ID{a.key.ID(), b.key.ID()} {
				for name, value := range scrape(t, registry, id) {
					if !strings.Contains(name, "_total{") || !strings.HasPrefix(name, "tm2_") {
						continue
					}
					name = id.String() + name
					if !assert.GreaterOrEqual(t, value, last[name], name) {
						return
					}
					last[name] = value
				}
			}
		}
	})
	const sessions, each = 20, 50
	for range sessions {
		pa, pb := connect(t, a, b)
		for range each {
			require.True(t, pa.Send(chA, make([]byte, 100)))
		}
		pa.FlushStop()
		stopped(t, pb)
	}
	close(done)
	scraper.Wait()
	requireSeries(t, registry, a.key.ID(), map[string]float64{
		"tm2_p2p_messages_sent_total{channel=0x20}":      sessions * each,
		"tm2_p2p_message_send_bytes_total{channel=0x20}": sessions * each * 100,
	})
	requireSeries(t, registry, b.key.ID(), map[string]float64{
		"tm2_p2p_messages_received_total{channel=0x20}":     sessions * each,
		"tm2_p2p_message_receive_bytes_total{channel=0x20}": sessions * each * 100,
	})
}

func TestMetricsOfQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		a, b, p := rated(t, []Option{WithPrometheus(registry)}, nil)
		free := make(chan struct{})
		t.Cleanup(func() { close(free) }) // before that of b, which waits for its reactor
		b.reactor.discard = true
		b.reactor.hook = func(byte, compat.PeerConn, []byte) { <-free }
		queued := 0
		for fits := true; fits; synctest.Wait() { // until the windows and the connection are full, too
			fits = false
			for p.TrySend(chA, make([]byte, 1<<20)) {
				queued++
				fits = true
			}
		}
		require.False(t, p.TrySend(chB, make([]byte, 2<<20)), "the bytes are those of all channels")
		values := scrape(t, registry, a.key.ID())
		require.Positive(t, values["tm2_p2p_send_queue_messages{channel=0x20}"])
		require.Zero(t, values["tm2_p2p_send_queue_messages{channel=0x21}"])
		require.GreaterOrEqual(t, values["tm2_p2p_send_queue_bytes{}"], 1<<20*values["tm2_p2p_send_queue_messages{channel=0x20}"])
		require.LessOrEqual(t, values["tm2_p2p_send_queue_bytes{}"], float64(queued<<20))
		require.Positive(t, values["tm2_p2p_send_queue_full_total{channel=0x20}"])
		require.InDelta(t, 1, values["tm2_p2p_send_queue_full_total{channel=0x21}"], 0)
	})
}

func TestMetricsOfRefusals(t *testing.T) {
	registry := prometheus.NewRegistry()
	a, b := newNode(t, nil, WithPrometheus(registry)), newNode(t, nil, WithPrometheus(registry))
	b.acceptLoop(t)
	b.behavior.admit = func(compat.ConnInfo, types.NodeInfo) error { return compat.Reject(compat.RejectFull, "") }
	_, err := a.dial(t, b)
	require.Error(t, err)
	wrong := b.NetAddress()
	wrong.ID = types.GenerateNodeKey().ID()
	_, err = a.Dial(timeout(t), wrong, a.behavior)
	require.Error(t, err)
	requireSeries(t, registry, a.key.ID(), map[string]float64{
		"tm2_p2p_handshakes_total{direction=outbound,result=full}": 1,
		"tm2_p2p_probes_total{result=ok}":                          1,
		"tm2_p2p_probes_total{result=wrong_id}":                    1,
		"tm2_p2p_rejects_received_total{code=full}":                1,
	})
	requireSeries(t, registry, b.key.ID(), map[string]float64{
		"tm2_p2p_handshakes_total{direction=inbound,result=full}": 1,
		"tm2_p2p_rejects_sent_total{code=full}":                   1,
	})
}

// One registerer serves many transports, but not two of one node.
func TestMetricsAreUnregistered(t *testing.T) {
	registry := prometheus.NewRegistry()
	key := types.GenerateNodeKey()
	for range 2 {
		tr, err := NewTransport(nodeInfo(key.ID()), *key, nil, WithPrometheus(registry))
		require.NoError(t, err)
		require.Contains(t, scrape(t, registry, key.ID()), "tm2_p2p_peers{direction=inbound}")
		_, err = NewTransport(nodeInfo(key.ID()), *key, nil, WithPrometheus(registry))
		require.ErrorAs(t, err, new(prometheus.AlreadyRegisteredError))
		require.Contains(t, scrape(t, registry, key.ID()), "tm2_p2p_peers{direction=inbound}", "the first one's stay")
		require.NoError(t, tr.Close())
		require.NotContains(t, scrape(t, registry, key.ID()), "tm2_p2p_peers{direction=inbound}")
	}
}

func TestOutcomes(t *testing.T) {
	require.Len(t, counters{}, int(outcomeForeign)+1)
	for o := range outcomes {
		require.NotContains(t, outcome(o).String(), "code", "every outcome has a name")
	}
	require.Equal(t, outcomeOther, outcomeOf(&compat.RejectError{Code: 200}))
	require.Equal(t, outcome(compat.RejectClosing), outcomeOf(compat.ErrTransportClosed))
	require.Equal(t, outcomeBusy, outcomeOf(compat.ErrBusy))
	require.Equal(t, outcome(compat.RejectBanned), endedBy(&GoodbyeError{Code: compat.RejectBanned}))
	require.Equal(t, outcome(compat.RejectUnspecified), endedBy(&GoodbyeError{}))
	require.Equal(t, outcome(compat.RejectInvalid), endedBy(errAssembly))
	require.Equal(t, outcomeFailed, endedBy(errEOF))
}
