//go:build !race

// The race detector makes sync.Pool forget at random.

package lp2p

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// A message costs at most one allocation on each side, alone or in a sequence, with and
// without metrics. Noise allocates once for each frame that it seals or opens, so that a
// message of several frames costs more.
func TestMessageAllocates(t *testing.T) {
	for _, metrics := range []bool{false, true} {
		for _, size := range []int{64, 1 << 10, 64 << 10} {
			t.Run(fmt.Sprintf("metrics=%t/%d", metrics, size), func(t *testing.T) {
				var opts []Option
				if metrics {
					opts = []Option{WithPrometheus(prometheus.NewRegistry())}
				}
				a, b := newNode(t, nil, opts...), newNode(t, nil, opts...)
				const batch = 100
				arrived := make(chan struct{}, batch)
				b.reactor.discard = true
				b.reactor.hook = func(byte, compat.PeerConn, []byte) { arrived <- struct{}{} }
				p, _ := connect(t, a, b)
				msg := make([]byte, size)
				one := func() {
					if !p.Send(chA, msg) {
						t.Fatal("message was not taken")
					}
					<-arrived
				}
				for range batch {
					one() // streams, pools and queues are there
				}
				if size < readBuffer {
					require.LessOrEqual(t, leastAllocs(batch, one), 2.0, "one by one")
				}

				many := leastAllocs(10, func() {
					for range batch {
						if !p.Send(chA, msg) {
							t.Fatal("message was not taken")
						}
					}
					for range batch {
						<-arrived
					}
				})
				t.Logf("%.2f allocations a message in a stream", many/batch)
				frames := size / batchSize * 2 // more than one
				require.LessOrEqual(t, many/batch, 2.0+2*float64(frames), "in a stream")
			})
		}
	}
}

// leastAllocs is the least of several measurements, so that other work, such as identify
// after a connection, does not count.
func leastAllocs(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for range 4 {
		least = min(least, testing.AllocsPerRun(runs, f))
	}

	return least
}
