package lp2p

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

// Every promise of the page names tests, and all of them exist.
func TestPageNamesItsTests(t *testing.T) {
	for _, row := range pagetest.Proofs(t, "docs/sessions.md", "## 13. What shows it", "adapter/lp2p") {
		require.NotEmpty(t, row.Tests, row.Text)
	}
}

func TestPageListsTheMetrics(t *testing.T) {
	pagetest.ListsMetrics(t, "docs/metrics.md", (*metrics)(nil))
}
