package pagetest

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// ListsMetrics fails the test unless the page names every metric that the collector
// describes, and there is one.
func ListsMetrics(t testing.TB, page string, c prometheus.Collector) {
	t.Helper()
	text := Read(t, page)
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	var names []string
	for desc := range descs {
		_, name, _ := strings.Cut(desc.String(), `fqName: "`)
		name, _, _ = strings.Cut(name, `"`)
		names = append(names, name)
	}
	require.NotEmpty(t, names)
	for _, name := range names {
		require.Contains(t, text, "`"+name+"`", page)
	}
}
