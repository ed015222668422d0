package crawl_test

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/crawl"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
)

// TestCrawlOfManyNodes walks a network of native nodes, as many libp2p nodes, and half as many
// on both stacks, over real sockets, each at an IP of its own. It walks until all are found:
// nodes enter the DHT one after the other. There are 20 nodes, or 50 with CRAWL_FULL=1.
func TestCrawlOfManyNodes(t *testing.T) {
	t.Parallel()
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
	settles(t, options(first), func(c *assert.CollectT, report *crawl.Report) {
		t.Logf("%d addresses visited in %.1f s: %d nodes, %d heard of", report.Visited, report.Seconds, report.Reachable, report.Heard)
		require.True(c, report.Complete)
		require.Equal(c, want, stacksOf(c, report))
		require.Equal(c, []int{natives, duals, libp2ps}, []int{report.Native, report.Both, report.Libp2p})
		require.Zero(c, report.Heard)
		require.Equal(c, map[string]int{network: natives + libp2ps + duals}, report.Networks)
		require.Equal(c, natives+libp2ps+duals, report.Visited, "each address is visited once")
	})
}
