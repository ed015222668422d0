package discovery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

// Every promise of the page names tests, and all of them exist.
func TestPageNamesItsTests(t *testing.T) {
	for _, row := range pagetest.Proofs(t, "docs/discovery-dht.md", "## What shows it") {
		require.NotEmpty(t, row.Tests, row.Text)
	}
}
