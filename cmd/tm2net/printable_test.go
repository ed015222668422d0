package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
)

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
	require.NoError(t, printProbe(&out, probed{result: &probe.Result{NodeInfo: &info, Notes: []string{evil}}}))
	requireVisible(t, out.String())

	_, shown, found := bytes.Cut(out.Bytes(), []byte("node info"))
	require.True(t, found)
	var read types.NodeInfo
	require.NoError(t, json.Unmarshal(shown, &read))
	require.Equal(t, evil, read.Moniker, "the JSON still says what the remote has sent")
}

// TestErrorShowsNoCommandsOfARemote probes a server that answers the proposal of a libp2p
// security protocol with control characters, which an error of libp2p quotes as they are.
func TestErrorShowsNoCommandsOfARemote(t *testing.T) {
	const evil = "/\x1b[2J\u009b\n"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed by the cleanup
			}
			serving.Go(func() {
				defer conn.Close()
				answer := append(slices.Clone(sniff.MultistreamHeader), byte(len(evil)))
				_, _ = conn.Write(append(answer, evil...)) // fails if the probe has ended
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})

	status, _, stderr := call(t, "probe", listener.Addr().String())
	require.Equal(t, 1, status)
	require.Contains(t, stderr, `/\u001b[2J`, "the error shows what the remote has sent")
	requireVisible(t, stderr)
}

func requireVisible(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		require.True(t, r == '\n' || unicode.IsPrint(r), "%U in %q", r, text)
	}
}
