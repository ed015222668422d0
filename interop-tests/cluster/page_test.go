package cluster

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

const folder = "interop-tests/cluster"

// TestPageNamesItsTests checks that the page names all tests of topologies and faults, and
// that all named tests exist.
func TestPageNamesItsTests(t *testing.T) {
	named := make(map[string]bool)
	for _, row := range pagetest.Proofs(t, "docs/validators.md", "## What shows it", folder, folder+"/validator") {
		for _, name := range row.Tests {
			named[name] = true
		}
	}
	for name := range pagetest.Defined(t, folder) {
		if strings.HasPrefix(name, "TestCluster") && name != "TestClusterGno" { // the reference, about which the page makes no claim
			require.True(t, named[name], "the page does not name %s", name)
		}
	}
}
