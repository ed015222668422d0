package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func sample() (Snapshot, *Summary) {
	s := Snapshot{
		Kind:    "second",
		Elapsed: 3,
		Totals: Totals{
			Native:  Side{Peers: []int{3, 3, 3}, Sent: 1_000_000, Delivered: 5_000_000, SentRate: 333333, DeliveredRate: 1666666},
			Libp2p:  Side{Peers: []int{3, 3, 3}, Sent: 1_000_001, Delivered: 5_000_002, SentRate: 333333, DeliveredRate: 1666666},
			Pairs:   3,
			Crossed: Crossed{ToLibp2p: 3_000_000, ToNative: 3_000_001},
		},
	}

	return s, &Summary{
		Kind: "summary", Duration: 3.5, Nodes: 6, NodesPerSide: 3, Seed: 9, Sent: 2_000_001,
		Expected: 10_000_005, Delivered: 10_000_002, Totals: Totals{
			Native: s.Native, Libp2p: s.Libp2p, Pairs: 3, Crossed: s.Crossed,
			Faults: Faults{Lost: 3, LostEndToEnd: 3},
		},
	}
}

func TestJSONView(t *testing.T) {
	snapshot, summary := sample()
	var out bytes.Buffer
	v := NewJSONView(&out)
	v.Progress(snapshot)
	v.Progress(snapshot)
	require.NoError(t, v.Done(summary))

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	var gotSnapshot Snapshot
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &gotSnapshot))
	require.Equal(t, snapshot, gotSnapshot)
	var gotSummary Summary
	require.NoError(t, json.Unmarshal([]byte(lines[2]), &gotSummary))
	require.Equal(t, *summary, gotSummary)
}

func TestLineView(t *testing.T) {
	snapshot, summary := sample()
	var out bytes.Buffer
	v := NewLineView(&out)
	v.Progress(snapshot)
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), "native: 1000000 sent (333333/s) 5000000 delivered (1666666/s)")
	require.Contains(t, out.String(), "3 pairs, 3000000 to libp2p, 3000001 to native")

	out.Reset()
	require.NoError(t, v.Done(summary))
	require.Contains(t, out.String(), "duration   3.5s, seed 9\n")
	require.Contains(t, out.String(), "delivered  10000002 of 10000005\n")
	require.Contains(t, out.String(), "not free of faults: 3 lost\n")
}

func TestTableViewRedrawsInPlace(t *testing.T) {
	snapshot, _ := sample()
	var out bytes.Buffer
	v := NewTableView(&out)
	v.Progress(snapshot)
	first := out.String()
	require.NotContains(t, first, "\x1b[6A")
	out.Reset()
	v.Progress(snapshot)
	require.Equal(t, "\x1b[6A"+first, out.String(), "the cursor goes up by the lines of the table")

	for _, l := range strings.Split(first, "\n") {
		require.Less(t, len(strings.TrimSuffix(l, "\x1b[K")), 80, l)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestViewsReportWriteErrors(t *testing.T) {
	snapshot, summary := sample()
	for _, v := range []*View{NewJSONView(brokenWriter{}), NewLineView(brokenWriter{}), NewTableView(brokenWriter{})} {
		v.Progress(snapshot)
		require.ErrorContains(t, v.Done(summary), "broken pipe")
	}
}
