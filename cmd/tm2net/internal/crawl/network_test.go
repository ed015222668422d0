package crawl_test

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/crawl"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
)

// TestCrawlOfManyNodes walks a network of native nodes, as many libp2p nodes, and half as many
// on both stacks, over real sockets, each at an IP of its own. It walks until all are found:
// nodes enter the DHT one after the other. There are 20 nodes, or 50 with CRAWL_FULL=1.
func TestCrawlOfManyNodes(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	natives, libp2ps, duals := 8, 8, 4
	if os.Getenv("CRAWL_FULL") != "" {
		natives, libp2ps, duals = 20, 20, 10
	}
	count := byte(0)
	place := func() net.IP {
		count++

		return net.IPv4(52, count, 0, 1) // public, and each in a network of its own
	}
	first := startDual(t, spec{ip: place()})
	hubs := []*node{first}
	for range duals - 1 {
		hubs = append(hubs, startDual(t, spec{ip: place(), seeds: []*node{first}}))
	}
	for i := range natives {
		startNative(t, spec{ip: place(), seeds: hubs[i%duals : i%duals+1]})
	}
	for i := range libp2ps {
		startLibp2p(t, spec{ip: place(), seeds: hubs[i%duals : i%duals+1]})
	}

	want := map[string]int{"native node": natives, "libp2p node": libp2ps, "node on both stacks": duals}
	for deadline := time.Now().Add(patience); ; {
		report, err := crawl.Run(t.Context(), options(first))
		require.NoError(t, err)
		require.True(t, report.Complete)
		found := stacksOf(t, report)
		t.Logf("%d addresses visited in %.1f s: %v, %d heard of", report.Visited, report.Seconds, found, report.Heard)
		if report.Reachable == natives+libp2ps+duals {
			require.Equal(t, want, found)
			require.Equal(t, []int{natives, duals, libp2ps}, []int{report.Native, report.Both, report.Libp2p})
			require.Zero(t, report.Heard)
			require.Equal(t, map[string]int{network: natives + libp2ps + duals}, report.Networks)
			require.Equal(t, natives+libp2ps+duals, report.Visited, "each address is visited once")

			return
		}
		require.True(t, time.Now().Before(deadline), "not all nodes are found")
	}
}
