package lp2p

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// countTo returns a channel that closes when n messages have arrived.
func countTo(b *behavior, n int) <-chan struct{} {
	done := make(chan struct{})
	seen := 0
	b.reactor.hook = func(byte, compat.PeerConn, []byte) {
		if seen++; seen == n {
			close(done)
		}
	}

	return done
}

// BenchmarkSend measures messages from Send on one node to Receive on another.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			from, to := newNode(b, nil), newNode(b, nil)
			to.reactor.discard = true
			done := countTo(to.behavior, b.N)
			p, _ := connect(b, from, to)
			msg := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer() // not b.Loop: the receiver has to know b.N
			for range b.N {
				if !p.Send(chA, msg) {
					b.Fatal("message was not taken")
				}
			}
			<-done
			require.Empty(b, to.failures)
		})
	}
}

// BenchmarkRoundTrip measures the latency of a message and its answer.
func BenchmarkRoundTrip(b *testing.B) {
	from, to := newNode(b, nil), newNode(b, nil)
	from.reactor.discard, to.reactor.discard = true, true
	back := make(chan struct{}, 1)
	from.reactor.hook = func(byte, compat.PeerConn, []byte) { back <- struct{}{} }
	to.reactor.hook = func(_ byte, p compat.PeerConn, _ []byte) { p.Send(chB, []byte("pong")) }
	p, _ := connect(b, from, to)
	b.ReportAllocs()
	for b.Loop() {
		if !p.Send(chA, []byte("ping")) {
			b.Fatal("message was not taken")
		}
		<-back
	}
}
