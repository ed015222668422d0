package dropin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

// TestPageNamesItsTests checks that each row of the table names a test, and that all named
// tests exist.
func TestPageNamesItsTests(t *testing.T) {
	for _, row := range pagetest.Proofs(t, "docs/dropin.md", "## What shows it", "dropin", "interop-tests") {
		require.NotEmpty(t, row.Tests, row.Text)
	}
}
