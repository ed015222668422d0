package dropin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

// TestPagesNameTheirTests checks that each row of the tables names a test, and that all named
// tests exist.
func TestPagesNameTheirTests(t *testing.T) {
	for _, page := range []string{"docs/dropin.md", "docs/gnoland.md", "docs/migration.md"} {
		for _, row := range pagetest.Proofs(t, page, "## What shows it", "dropin", "dropin/cmd/gnobuild",
			"dropin/cmd/gnobuild/internal/edit", "interop-tests", "interop-tests/gnoland", "adapter") {
			require.NotEmpty(t, row.Tests, row.Text)
		}
	}
}
