package demo

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A node and then the bridge are taken away, and every native node is joined again.
func TestKill(t *testing.T) {
	var told []string
	recoveries, err := Kill(t.Context(), 2, slog.New(slog.DiscardHandler), func(topology Topology) { told = append(told, topology.String()) },
		func(text string) { told = append(told, text) })
	require.NoError(t, err, strings.Join(told, "\n"))
	require.Len(t, recoveries, 2)
	gone := recoveries[0].What
	for _, r := range recoveries {
		require.Len(t, r.Joined, 2)
		for _, other := range r.Joined {
			require.NotEqual(t, gone, other)
		}
	}
	require.Equal(t, "the bridge", recoveries[1].What)
	require.NotContains(t, told[0], "delivered", "there are no figures to explain")
	require.Contains(t, told[1], gone+" is taken away")

	_, err = Kill(t.Context(), 1, slog.New(slog.DiscardHandler), func(Topology) {}, func(string) {})
	require.ErrorContains(t, err, "--kill")
}

// A run begins with a picture that names all nodes, and has a page if it is asked for.
func TestRunBeginsWithTheTopology(t *testing.T) {
	var begun Topology
	code := 0
	_, err := Run(t.Context(), Options{Nodes: 3, Duration: time.Millisecond, HTTP: "127.0.0.1:0", Begin: func(topology Topology) {
		begun = topology
		resp, err := http.Get(topology.Page + "readyz")
		require.NoError(t, err)
		code = resp.StatusCode
		require.NoError(t, resp.Body.Close())
		http.DefaultClient.CloseIdleConnections()
	}})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)
	text := begun.String()
	require.Len(t, begun.Joined, 3)
	for _, name := range append(begun.Native, begun.Libp2p...) {
		require.Contains(t, text, name)
	}
	require.Contains(t, text, begun.Page)
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, len(line), 120)
	}
}
