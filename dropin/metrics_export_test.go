package dropin

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// read returns the values that OpenTelemetry exports, by name and label.
func read(t *testing.T, reader sdkmetric.Reader) map[string]float64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	values := make(map[string]float64)
	for _, scope := range data.ScopeMetrics {
		require.Equal(t, meterName, scope.Scope.Name)
		for _, m := range scope.Metrics {
			var points []metricdata.DataPoint[float64]
			switch d := m.Data.(type) {
			case metricdata.Sum[float64]:
				require.True(t, d.IsMonotonic, m.Name)
				points = d.DataPoints
			case metricdata.Gauge[float64]:
				points = d.DataPoints
			}
			for _, p := range points {
				label := ""
				for _, kv := range p.Attributes.ToSlice() {
					label += " " + string(kv.Key) + "=" + kv.Value.AsString()
				}
				values[m.Name+label] = p.Value
			}
		}
	}

	return values
}

// TestMetricsExport checks the values of each kind of metric, those of metrics that get their
// first value later, and that nothing is exported after the end.
func TestMetricsExport(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	r := newMetricsExport(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total"}, []string{"code"})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g"})
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h"})
	r.registry.MustRegister(counter, gauge, histogram)
	gauge.Set(3)
	histogram.Observe(0.5)
	histogram.Observe(2)
	require.NoError(t, r.Start())
	require.Equal(t, map[string]float64{"g": 3, "h_count": 2, "h_sum": 2.5}, read(t, reader))

	counter.WithLabelValues("full").Add(4)
	gauge.Set(1)
	require.Equal(t, 1.0, read(t, reader)["g"])
	require.NoError(t, r.refresh())
	require.Equal(t, map[string]float64{"g": 1, "h_count": 2, "h_sum": 2.5, "c_total code=full": 4}, read(t, reader))

	require.NoError(t, r.Stop())
	require.Empty(t, read(t, reader))
}
