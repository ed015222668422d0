package harness

import (
	"fmt"
	"slices"
	"time"
)

// Run is one run of one case.
type Run struct {
	// Window is the time that is measured. Warmup is the time before it, which is not.
	Window, Warmup time.Duration

	metrics map[string]float64
}

// Bench is a case. It measures once and adds its metrics to the run.
type Bench func(r *Run) error

// Add records a metric.
func (r *Run) Add(metric string, value float64) { r.metrics[metric] = value }

// addLatencies records the quantiles of latencies in microseconds.
func (r *Run) addLatencies(latencies []float64) {
	slices.Sort(latencies)
	r.Add("p50_us", quantile(latencies, .5))
	r.Add("p99_us", quantile(latencies, .99))
	r.Add("max_us", quantile(latencies, 1))
	r.Add("samples", float64(len(latencies)))
}

// quantile returns the interpolated quantile q of at least one sorted value.
func quantile(sorted []float64, q float64) float64 {
	x := q * float64(len(sorted)-1)
	i := int(x)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}

	return sorted[i] + (x-float64(i))*(sorted[i+1]-sorted[i])
}

// Await waits until ready returns true, for at most 20 s. It polls, since not every project
// under test has an event to wait for.
func Await(what string, ready func() bool) error {
	const patience = 20 * time.Second
	for begun := time.Now(); !ready(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > patience {
			return fmt.Errorf("%s: not within %v", what, patience)
		}
	}

	return nil
}
