package main

import (
	"bytes"
	"encoding/json"
	"net"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"two\nlines, ünïcödé": "two\nlines, ünïcödé",
		"\x1b[2J\a\r\t":       `\u001b[2J\u0007\u000d\u0009`,
		"\u009b31m\u007f":     `\u009b31m\u007f`,
		"\u202egnp.exe":       `\u202egnp.exe`,
		"\U000e0041":          `\udb40\udc41`,
		"\xff\xfe":            "��",
	} {
		require.Equal(t, want, printable(text))
	}
}

// TestProbeShowsNoCommandsOfARemote shows a NodeInfo with control characters in each of its
// texts.
func TestProbeShowsNoCommandsOfARemote(t *testing.T) {
	const evil = "\x1b]0;owned\a\u009b2J\u202e\U000e0041"
	key := types.GenerateNodeKey()
	addr := &types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)}
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: evil, Version: evil}}, NetAddress: addr, Network: evil, Software: evil,
		Version: evil, Channels: []byte{1}, Moniker: evil, Other: types.NodeInfoOther{TxIndex: evil, RPCAddress: evil},
	}
	var out bytes.Buffer
	require.NoError(t, printProbe(&out, &probe.Result{NodeInfo: &info, Notes: []string{evil}}))
	requireVisible(t, out.String())

	_, shown, found := bytes.Cut(out.Bytes(), []byte("node info"))
	require.True(t, found)
	var read types.NodeInfo
	require.NoError(t, json.Unmarshal(shown, &read))
	require.Equal(t, evil, read.Moniker, "the JSON still says what the remote has sent")
}

func requireVisible(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		require.True(t, r == '\n' || unicode.IsPrint(r), "%U in %q", r, text)
	}
}
