package discovery

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/metrics.md lists every metric.
func TestPageListsTheMetrics(t *testing.T) {
	page, err := os.ReadFile("../../../docs/metrics.md")
	require.NoError(t, err)
	for _, m := range metrics {
		_, name, ok := strings.Cut(m.desc.String(), `fqName: "`)
		require.True(t, ok)
		name, _, _ = strings.Cut(name, `"`)
		require.Contains(t, string(page), "`"+name+"`")
	}
}
