// Command raw measures the layers below the projects. The stack "tcp" is a plain TCP
// connection, "sealed" one
// whose ends seal and open 1 KiB at a time, "crypto" the cipher alone, "libp2p" plain go-libp2p streams
// over TCP, Noise and yamux, and "quic" plain go-libp2p streams over QUIC.
package main

import (
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

func main() {
	harness.Main(map[string]harness.Project{
		"tcp":    {RoundTrip: openTCP},
		"sealed": {SecretConn: openSealed},
		"crypto": {Other: map[string]harness.Bench{"chacha20poly1305-1k": sealAndOpen}},
		"libp2p": project(newTCPHost),
		"quic":   project(newQUICHost),
	})
}

func project(newHost hostMaker) harness.Project {
	return harness.Project{
		Messages:  newHost.openStreams(harness.ReadBuffer, harness.ChHigh),
		RoundTrip: newHost.openStreams(0, harness.ChHigh),
		Flood:     newHost.openStreams(0, harness.ChHigh, harness.ChLow),
		Broadcast: newHost.network(),
		Idle:      newHost.network(),
		Connect:   newHost.openConnector,
	}
}

func openTCP(onB, onA harness.Handler) (*harness.Pipe, error) {
	a, b, err := harness.TCPPair()
	if err != nil {
		return nil, err
	}

	return harness.StreamPipe(a, b, onB, onA), nil
}
