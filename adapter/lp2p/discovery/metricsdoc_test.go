package discovery

import (
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

func TestPageListsTheMetrics(t *testing.T) {
	pagetest.ListsMetrics(t, "docs/metrics.md", collector{})
}
