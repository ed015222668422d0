package dropin

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/gnolang/gno/tm2/pkg/telemetry"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

const (
	// meterName is the name of our meter in OpenTelemetry.
	meterName = "github.com/tm2-libp2p/tm2-libp2p"
	// metricsInterval is how often new metrics are looked for. gno exports once a minute.
	metricsInterval = 15 * time.Second
)

// exportMetrics makes a switch with libp2p export the metrics of docs/metrics.md by gno's
// telemetry, if that is on. Options of the program come later, and so override this.
func (p *plan) exportMetrics(o *options) {
	if !telemetry.MetricsEnabled() {
		return
	}
	r := newMetricsExport(otel.GetMeterProvider())
	r.SetLogger(p.logger)
	o.libp2p = append([]lp2p.Option{lp2p.WithPrometheus(r.registry)}, o.libp2p...)
	o.dht = append([]discovery.Option{discovery.WithRegisterer(r.registry)}, o.dht...)
	p.options = append(p.options, adapter.WithReactor("metrics export", r))
}

// metricsExport is a reactor without channels that shows the metrics of a Prometheus registry
// to OpenTelemetry. Of histograms and summaries it shows the count and the sum.
type metricsExport struct {
	compat.BaseReactor
	registry *prometheus.Registry
	meter    metric.Meter

	// These belong to refresh, and after the task has ended to OnStop.
	instruments  map[string]metric.Float64Observable
	registration metric.Registration

	cancel context.CancelFunc
	task   sync.WaitGroup
}

func newMetricsExport(provider metric.MeterProvider) *metricsExport {
	r := &metricsExport{
		registry: prometheus.NewRegistry(), meter: provider.Meter(meterName),
		instruments: make(map[string]metric.Float64Observable),
	}
	r.BaseReactor = *compat.NewBaseReactor("metrics export", r)

	return r
}

// OnStart implements service.Service. A node starts whether its metrics can be exported or not.
func (r *metricsExport) OnStart() error {
	r.refreshOrWarn()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.task.Go(func() { r.run(ctx) })

	return nil
}

// OnStop implements service.Service.
func (r *metricsExport) OnStop() {
	r.cancel()
	r.task.Wait()
	if r.registration != nil {
		if err := r.registration.Unregister(); err != nil {
			r.Logger.Warn("unable to end the export of metrics", "err", err)
		}
	}
}

func (r *metricsExport) run(ctx context.Context) {
	ticker := time.NewTicker(metricsInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		r.refreshOrWarn()
	}
}

func (r *metricsExport) refreshOrWarn() {
	if err := r.refresh(); err != nil {
		r.Logger.Warn("unable to export metrics", "err", err)
	}
}

// refresh makes an instrument for each metric of the registry that has none. A metric with
// labels appears in the registry when it has its first value.
func (r *metricsExport) refresh() error {
	values, err := r.gather()
	if err != nil {
		return err
	}
	added := false
	for _, v := range values {
		if r.instruments[v.name] != nil {
			continue
		}
		if r.instruments[v.name], err = v.instrument(r.meter); err != nil {
			return err
		}
		added = true
	}
	if !added {
		return nil
	}
	if r.registration != nil {
		if err := r.registration.Unregister(); err != nil {
			return err
		}
	}
	// The callback runs while later instruments are made, so it has maps and slices of its own.
	known := make(map[string]metric.Float64Observable, len(r.instruments))
	all := make([]metric.Observable, 0, len(r.instruments))
	for name, instrument := range r.instruments {
		known[name] = instrument
		all = append(all, instrument)
	}
	r.registration, err = r.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		values, err := r.gather()
		if err != nil {
			return err
		}
		for _, v := range values {
			if instrument := known[v.name]; instrument != nil {
				o.ObserveFloat64(instrument, v.value, metric.WithAttributes(v.labels...))
			}
		}

		return nil
	}, all...)

	return err
}

// exported is one value of a metric.
type exported struct {
	name, help string
	counts     bool // never falls
	value      float64
	labels     []attribute.KeyValue
}

// instrument makes the instrument of the metric to which a value belongs.
func (v exported) instrument(meter metric.Meter) (metric.Float64Observable, error) {
	if v.counts {
		return meter.Float64ObservableCounter(v.name, metric.WithDescription(v.help))
	}

	return meter.Float64ObservableGauge(v.name, metric.WithDescription(v.help))
}

// gather returns all values of the registry.
func (r *metricsExport) gather() (values []exported, err error) {
	families, err := r.registry.Gather()
	if err != nil {
		return nil, err
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			add := func(suffix string, counts bool, value float64) {
				values = append(values, exported{family.GetName() + suffix, family.GetHelp(), counts, value, attributes(m)})
			}
			switch {
			case m.GetCounter() != nil:
				add("", true, m.GetCounter().GetValue())
			case m.GetGauge() != nil:
				add("", false, m.GetGauge().GetValue())
			case m.GetUntyped() != nil:
				add("", false, m.GetUntyped().GetValue())
			case m.GetHistogram() != nil:
				add("_count", true, float64(m.GetHistogram().GetSampleCount()))
				add("_sum", true, m.GetHistogram().GetSampleSum())
			case m.GetSummary() != nil:
				add("_count", true, float64(m.GetSummary().GetSampleCount()))
				add("_sum", true, m.GetSummary().GetSampleSum())
			}
		}
	}

	return values, nil
}

func attributes(m *dto.Metric) []attribute.KeyValue {
	labels := make([]attribute.KeyValue, 0, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		labels = append(labels, attribute.String(l.GetName(), l.GetValue()))
	}

	return labels
}
