package lp2p

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// requireSeries waits until some series of a node are what they are to be: who
// ends a session does not wait for those who count it.
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
		"tm2_p2p_message_send_bytes_total{}":                     3500,
		"tm2_p2p_message_receive_bytes_total{}":                  10,
		"tm2_p2p_send_queue_bytes{}":                             0,
	}
	requireSeries(t, registry, a.key.ID(), sent)
	requireSeries(t, registry, b.key.ID(), map[string]float64{
		"tm2_p2p_peers{direction=inbound}":                      0,
		"tm2_p2p_handshakes_total{direction=inbound,result=ok}": 1,
		"tm2_p2p_sessions_ended_total{reason=unspecified}":      1, // a goodbye without a reason
		"tm2_p2p_messages_received_total{channel=0x20}":         3,
		"tm2_p2p_message_receive_bytes_total{}":                 3500,
	})

	// A further session adds to them.
	pa, _ = connect(t, a, b)
	require.True(t, pa.Send(chA, make([]byte, 7)))
	b.reactor.await(t, 5)
	sent["tm2_p2p_messages_sent_total{channel=0x20}"]++
	sent["tm2_p2p_message_send_bytes_total{}"] += 7
	sent["tm2_p2p_peers{direction=outbound}"]++
	sent["tm2_p2p_handshakes_total{direction=outbound,result=ok}"]++
	requireSeries(t, registry, a.key.ID(), sent)

	// So do those of libp2p, which are those of the process.
	require.Positive(t, scrape(t, registry, a.key.ID())["libp2p_rcmgr_connections{dir=inbound,scope=system}"])
}

func TestMetricsOfQueues(t *testing.T) {
	registry := prometheus.NewRegistry()
	a, b := newNode(t, nil, WithPrometheus(registry)), newNode(t, nil)
	free, held := make(chan struct{}), make(chan struct{}, 1)
	b.reactor.discard = true
	b.reactor.hook = func(byte, compat.PeerConn, []byte) {
		select {
		case held <- struct{}{}:
		default:
		}
		<-free
	}
	pa, _ := connect(t, a, b)
	queued := 0
	for pa.TrySend(chA, make([]byte, 1<<20)) {
		queued++
	}
	<-held
	values := scrape(t, registry, a.key.ID())
	require.Positive(t, values["tm2_p2p_send_queue_messages{channel=0x20}"])
	require.Zero(t, values["tm2_p2p_send_queue_messages{channel=0x21}"])
	require.GreaterOrEqual(t, values["tm2_p2p_send_queue_bytes{}"], 1<<20*values["tm2_p2p_send_queue_messages{channel=0x20}"])
	require.LessOrEqual(t, values["tm2_p2p_send_queue_bytes{}"], float64(queued<<20))
	close(free)
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
	})
	requireSeries(t, registry, b.key.ID(), map[string]float64{
		"tm2_p2p_handshakes_total{direction=inbound,result=full}": 1,
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
	require.Equal(t, outcomeBusy, outcomeOf(ErrBusy))
	require.Equal(t, outcome(compat.RejectBanned), endedBy(&GoodbyeError{Code: compat.RejectBanned}))
	require.Equal(t, outcome(compat.RejectUnspecified), endedBy(&GoodbyeError{}))
	require.Equal(t, outcome(compat.RejectInvalid), endedBy(errAssembly))
	require.Equal(t, outcomeFailed, endedBy(errEOF))
}
