// Command raw measures what the projects are built on: the stack "tcp" is a
// plain TCP connection, "crypto" the cipher of the secret connection, and
// "libp2p" plain go-libp2p streams over TCP, Noise and yamux.
package main

import (
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

func main() {
	harness.Main(map[string]harness.Project{
		"tcp":    {RoundTrip: openTCP},
		"crypto": {Other: map[string]harness.Bench{"chacha20poly1305-1k": sealAndOpen}},
		"libp2p": {
			Messages:  openStreams(harness.ReadBuffer, harness.ChHigh),
			RoundTrip: openStreams(0, harness.ChHigh),
			Flood:     openStreams(0, harness.ChHigh, harness.ChLow),
			Broadcast: newNetwork(),
			Idle:      newNetwork(),
			Connect:   openConnector,
		},
	})
}

func openTCP(onB, onA harness.Handler) (*harness.Pipe, error) {
	a, b, err := harness.TCPPair()
	if err != nil {
		return nil, err
	}

	return harness.StreamPipe(a, b, onB, onA), nil
}
