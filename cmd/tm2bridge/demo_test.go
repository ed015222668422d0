package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/demo"
)

func TestDemoJSON(t *testing.T) {
	status, stdout, stderr := call(t, "demo", "--json", "--duration", "1500ms", "--nodes", "2", "--seed", "7")
	require.Zero(t, status, stderr)

	var lines [][]byte
	for s := bufio.NewScanner(bytes.NewReader([]byte(stdout))); s.Scan(); {
		require.True(t, json.Valid(s.Bytes()), s.Text())
		lines = append(lines, bytes.Clone(s.Bytes()))
	}
	require.GreaterOrEqual(t, len(lines), 2)
	for _, line := range lines[:len(lines)-1] {
		var snapshot demo.Snapshot
		require.NoError(t, json.Unmarshal(line, &snapshot))
		require.Equal(t, "second", snapshot.Kind)
	}

	var summary map[string]any
	require.NoError(t, json.Unmarshal(lines[len(lines)-1], &summary))
	require.Equal(t, "summary", summary["kind"])
	require.EqualValues(t, 4, summary["nodes"])
	require.EqualValues(t, 7, summary["seed"])
	require.Greater(t, summary["duration"], 1.4)
	require.Positive(t, summary["sent"])
	require.EqualValues(t, summary["expected"], summary["delivered"])
	for _, zero := range []string{"lost", "duplicated", "reordered"} {
		require.Zero(t, summary[zero], zero)
	}
	crossed, ok := summary["crossed"].(map[string]any)
	require.True(t, ok)
	require.Positive(t, crossed["to_libp2p"])
	require.Positive(t, crossed["to_native"])
}

func TestDemoLines(t *testing.T) {
	status, stdout, stderr := call(t, "demo", "--duration", "1100ms", "--nodes", "1")
	require.Zero(t, status, stderr)
	require.Regexp(t, `(?m)^ +\d+s native: \d+ sent`, stdout) // the first second may be told late
	require.Contains(t, stdout, "every message reached every node, in order and once")
	require.NotContains(t, stdout, "\x1b")
}
