package bridgehttp_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
)

func TestStatus(t *testing.T) {
	server := newServer(t, &source{status: working()}, bridgehttp.WithVersion("v1"),
		bridgehttp.WithListen(bridgehttp.Listen{Native: []string{"here"}}))
	w := get(server, "/status")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.NotContains(t, w.Body.String(), "<img", "markup of a node must not appear, even in JSON")
	var report bridgehttp.Report
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &report))
	require.Equal(t, bridgehttp.Schema, report.Schema)
	require.Equal(t, "v1", report.Version)
	require.Equal(t, []string{"here"}, report.Listen.Native)
	require.Equal(t, hostile, report.Pairs[0].Native.Moniker)
	require.Equal(t, bridgehttp.StateOK, report.Health.State)
}

// Probes of an orchestrator: alive says nothing of the targets, ready does.
func TestHealthzAndReadyz(t *testing.T) {
	s := &source{status: working()}
	server := newServer(t, s)
	require.Equal(t, http.StatusOK, get(server, "/healthz").Code)
	require.Equal(t, http.StatusOK, get(server, "/readyz").Code)
	s.change(func(status *bridge.Status) { status.Targets[0].State = bridge.TargetDown })
	require.Equal(t, http.StatusOK, get(server, "/healthz").Code)
	w := get(server, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "None of 1 configured libp2p target can be reached")
	s.change(func(status *bridge.Status) { status.Running = false })
	require.Equal(t, http.StatusServiceUnavailable, get(server, "/healthz").Code)
}

func TestMetrics(t *testing.T) {
	status := working()
	status.Flapping = []bridge.FlappingStatus{{Initiator: bridge.InitiatorLibp2p}}
	status.Tunnels = []tunnel.Status{{
		ID: idA, InReach: true, Open: []tunnel.Open{{Direction: tunnel.In}}, Opened: 2, ToNative: 30, ToLibp2p: 40,
		Refusals: []tunnel.Refusals{{Direction: tunnel.Out, Reason: "full", Count: 5}},
	}, {ID: idB}}
	body := get(newServer(t, &source{status: status}), "/metrics").Body.String()
	for _, line := range []string{
		`tm2_bridge_pairs{initiator="native"} 1`,
		`tm2_bridge_messages_total{channel="0x22",to="libp2p"} 7`,
		`tm2_bridge_bytes_total{channel="0x22",to="libp2p"} 70`,
		`tm2_bridge_queue_messages{channel="0x22",to="native"} 3`,
		`tm2_bridge_refusals_total{reason="full",side="native"} 5`,
		`tm2_bridge_pairs_ended_total{by="libp2p",known="true"} 1`,
		`tm2_bridge_health{state="degraded"} 1`,
		`tm2_bridge_targets{configured="true",side="libp2p",state="paired"} 1`,
		`tm2_bridge_relay_seconds_bucket{to="libp2p",le="0.01"} 6`,
		`tm2_bridge_relay_seconds_count{to="libp2p"} 7`,
		`tm2_bridge_side_ready{side="native"} 1`,
		`tm2_bridge_waiting_nodes{known="true",side="native"} 0`,
		`tm2_bridge_flapping_nodes{side="libp2p"} 1`,
		`tm2_bridge_tunnels{direction="in"} 1`,
		`tm2_bridge_tunnels{direction="out"} 0`,
		`tm2_bridge_tunnel_targets_in_reach 1`,
		`tm2_bridge_tunnel_targets_away 1`,
		`tm2_bridge_tunnels_opened_total 2`,
		`tm2_bridge_tunnel_bytes_total{to="libp2p"} 40`,
		`tm2_bridge_tunnel_refusals_total{direction="out",reason="full"} 5`,
	} {
		require.Contains(t, body, line+"\n")
	}
	require.NotContains(t, body, "img")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

// The page and all that belongs to it come from the program, and nothing of it is inline.
func TestPageIsSelfContained(t *testing.T) {
	server := newServer(t, &source{status: working()})
	page := get(server, "/")
	require.Equal(t, http.StatusOK, page.Code)
	for _, word := range []string{"http://", "https://", " style=", "<style", " onclick", "<script>"} {
		require.NotContains(t, page.Body.String(), word)
	}
	policy := page.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	for path, kind := range map[string]string{
		"/app.js": "text/javascript", "/dom.js": "text/javascript", "/graph.js": "text/javascript", "/lists.js": "text/javascript",
		"/plots.js": "text/javascript", "/format.js": "text/javascript", "/style.css": "text/css", "/icon.svg": "image/svg+xml",
	} {
		w := get(server, path)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Contains(t, w.Header().Get("Content-Type"), kind)
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		require.NotContains(t, w.Body.String(), "innerHTML", "texts of nodes must not become markup")
	}
	require.Equal(t, http.StatusNotFound, get(server, "/missing").Code)
	require.Equal(t, http.StatusMethodNotAllowed, do(server, http.MethodPost, "/status", "").Code)
}

func TestPprofOnlyWhenAskedFor(t *testing.T) {
	require.Equal(t, http.StatusNotFound, get(newServer(t, &source{}), "/debug/pprof/").Code)
	require.Equal(t, http.StatusOK, get(newServer(t, &source{}, bridgehttp.WithPprof()), "/debug/pprof/").Code)
}

// A web page that has rebound its name to the address of the bridge learns nothing and
// changes nothing. Prometheus and orchestrators may use any name.
func TestForeignHostNames(t *testing.T) {
	server := newServer(t, &source{status: working()}, bridgehttp.WithToken(token), bridgehttp.WithHosts("Bridge.example"))
	for host, want := range map[string]int{
		"evil.example": http.StatusMisdirectedRequest, "evil.example:36660": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest,
		"localhost:36660": http.StatusOK, "127.0.0.1": http.StatusOK, "[::1]:36660": http.StatusOK, "bridge.example": http.StatusOK,
	} {
		from := func(r *http.Request) { r.Host = host }
		for _, path := range []string{"/", "/status", "/history"} {
			require.Equal(t, want, get(server, path, from).Code, host+path)
		}
		require.Equal(t, http.StatusOK, get(server, "/metrics", from).Code)
		require.Equal(t, http.StatusOK, get(server, "/healthz", from).Code)
		w := do(server, http.MethodPost, "/control/block", `{"id":"`+idA.String()+`"}`, from, withToken(token))
		require.Equal(t, want, w.Code, host)
	}
}

// Serve bounds what a client can hold, and Close ends it.
func TestServeAndClose(t *testing.T) {
	server := newServer(t, &source{status: working()})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
	require.NoError(t, response.Body.Close())
	require.NoError(t, conn.Close())

	require.NoError(t, server.Close())
	require.NoError(t, <-served)
	second, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, server.Serve(second), http.ErrServerClosed)
}

// The history has a sample every 5 seconds for 15 minutes, and every 5 minutes for a day.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, err := bridgehttp.New(&source{status: working()})
		require.NoError(t, err)
		time.Sleep(26 * time.Hour)
		synctest.Wait()
		var h bridgehttp.History
		require.NoError(t, json.Unmarshal(get(server, "/history").Body.Bytes(), &h))
		require.NoError(t, server.Close())
		require.Len(t, h.Recent, 180)
		require.InDelta(t, 288, len(h.Day), 1)
		last := h.Recent[179]
		require.Equal(t, 5*time.Second, last.Time.Sub(h.Recent[178].Time))
		require.Equal(t, last, h.Day[len(h.Day)-1])
		require.Equal(t, 1, last.Pairs)
		require.Equal(t, 4, last.Queued)
	})
}
