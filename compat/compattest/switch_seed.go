package compattest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func seedPromises() []switchPromise {
	return []switchPromise{
		{"Seed/HangsUp", testSeedHangsUp},
	}
}

// seedUptime is long enough for both nodes to start their peers on a busy machine. A node that
// hears the goodbye before would have no peer that ends.
const seedUptime = 5 * time.Second

// A node in seed mode hangs up its peers, for a reason that they take as transient if they
// learn it.
func testSeedHangsUp(t *testing.T, c *cluster) {
	seed := c.started(t, func(s *nodeSetup) { s.SeedUptime = seedUptime })
	node := c.started(t)
	node.DialPeers(seed.address())
	for _, ends := range [][2]*switchNode{{seed, node}, {node, seed}} {
		at, id := ends[0], ends[1].id()
		c.await(t, "the seed has hung up", func() bool { return at.log.count(disconnected, id) == 1 })
		require.Equal(t, 1, at.log.count(connected, id))
		failures := []compat.DialFailure{compat.DialBusy}
		if at == node { // a stack need not tell the reason
			failures = append(failures, compat.DialUnclear)
		}
		reason, ok := at.log.kind(disconnected)[0].reason.(error)
		require.True(t, ok)
		require.Contains(t, failures, compat.ClassifyDial(reason), reason)
	}
}
