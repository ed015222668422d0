package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
)

// What a remote has said cannot command the terminal.
func TestStatusTextIsPrintable(t *testing.T) {
	now := time.Now()
	evil := "\x1b[2J\nx\u202e"
	r := &bridgehttp.Report{Health: bridgehttp.Health{State: bridgehttp.StateDegraded, Reason: evil, Cure: evil}}
	r.Pairs = []bridge.PairStatus{{NativeID: "n", Libp2pID: "l", Native: bridge.PeerStatus{Moniker: evil, Version: evil}}}
	r.Waiting = []bridge.WaitingStatus{{Count: 1, Moniker: evil, Text: evil, Reason: evil, Address: evil}}
	r.Targets = []bridge.TargetStatus{{ID: "l", LastError: evil, NextTry: now.Add(time.Minute)}}
	r.Events = []bridge.Event{{Kind: bridge.EventRefused, Text: evil}}
	r.Flapping = []bridge.FlappingStatus{{ID: "n", By: evil, Text: evil, Cure: evil, Ended: 3}}
	r.Tunnels = []tunnel.Status{{ID: "l", Listen: "l@here", InReach: true, Open: []tunnel.Open{{Direction: tunnel.In, Address: "9.9.0.1:1"}}}, {ID: "m", Listen: "m@here"}}
	text := statusText(r, now)
	require.Contains(t, text, "once, ")
	require.NotContains(t, text, "1 times")
	require.Contains(t, text, "PAIRS THAT END AND COME AGAIN: 1")
	require.Regexp(t, `l@here +in reach +1 open`, text)
	require.Regexp(t, `m@here +out of reach +0 open`, text)
	require.NotContains(t, text, "\x1b")
	require.NotContains(t, text, "\u202e")
	require.Contains(t, text, `[LOOK] \u001b[2J x\u202e`)
	require.Contains(t, text, "tried after the others for 1 min")
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min",
		2*time.Hour + 5*time.Minute: "2 h 5 min", 50 * time.Hour: "2 d 2 h",
	} {
		require.Equal(t, want, short(d))
	}
	require.Equal(t, "999 B", size(999))
	require.Equal(t, "1.5 MB", size(1500000))
	require.Equal(t, "begin", middle("begin"))
	require.Equal(t, strings.Repeat("a", errorHead)+"…"+strings.Repeat("b", errorTail), middle(strings.Repeat("a", 500)+strings.Repeat("b", 500)))
}

// status --watch shows what it can, and goes on when the bridge does not answer.
func TestWatch(t *testing.T) {
	dir := home(t)
	asked := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write([]byte(`{"schema": 99}`)); err != nil {
			t.Error(err)
		}
		asked <- struct{}{}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errOut bytes.Buffer
	done := make(chan int)
	go func() {
		done <- cli.Execute(ctx, newRoot(), []string{"status", "--watch", "--home", dir, "--url", server.URL}, &out, &errOut)
	}()
	<-asked
	<-asked
	cancel()
	require.Zero(t, <-done, errOut.String())
	require.Contains(t, out.String(), "answers schema 99")
}
