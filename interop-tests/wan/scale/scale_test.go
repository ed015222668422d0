//go:build linux

package scale

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
)

func TestMain(m *testing.M) {
	child.Main(Roles())
	goleak.VerifyTestMain(m)
}

// TestScale connects 30 peers to a hub on each stack and sends broadcasts. What it measures
// says nothing: other tests run meanwhile.
func TestScale(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	for _, stack := range []string{"gno", "native", "libp2p", "libp2p-quic", "dual", NativeBound, Libp2pBound} {
		t.Run(stack, func(t *testing.T) {
			r, err := Measure(t.Context(), Run{
				Stack: stack, Peers: 30, Processes: 2, Within: 200 * time.Millisecond,
				Settle: 200 * time.Millisecond, Idle: 200 * time.Millisecond, Broadcasts: 2, Patience: 2 * time.Minute,
			})
			if errors.Is(err, box.ErrUnavailable) {
				t.Skip(err)
			}
			require.NoError(t, err)
			require.Positive(t, r.Storm)
			require.Positive(t, r.StormCPU)
			require.Positive(t, r.Goroutines)
			require.Positive(t, r.Heap)
			require.Len(t, r.Broadcast, 2)
			require.Positive(t, r.Broadcast[0])
			t.Logf("storm %v with %v of CPU, heap %d KiB, %d goroutines, %.3f cores idle, broadcast %v, %v of CPU a peer",
				r.Storm, r.StormCPU, r.Heap>>10, r.Goroutines, r.CPU, r.Broadcast, r.BroadcastCPU)
		})
	}
}

func TestNothingToMeasure(t *testing.T) {
	for _, run := range []Run{
		{}, {Peers: 1}, {Peers: 1, Processes: 2, Broadcasts: 1}, {Peers: maxPeers + 1, Processes: 1, Broadcasts: 1},
		{Peers: 1, Processes: 1},
	} {
		_, err := Measure(t.Context(), run)
		require.ErrorContains(t, err, "scale:")
	}
}
