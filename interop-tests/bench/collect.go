package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// result holds all rounds of a measurement.
type result struct {
	measurement
	rounds []round
	errs   []error
}

// round holds the metrics of each source that ran without an error.
type round map[source]metrics

// collect runs all sources of a measurement in turn, in reverse order every second round.
// So a disturbance or a drift of the machine affects all of them. It does not repeat a run
// that fails.
func collect(
	ctx context.Context, m measurement, runs int, execute func(context.Context, source) (metrics, error),
) result {
	if m.steady {
		runs = (runs + 2) / 3
	}
	sources := m.sources()
	res := result{measurement: m}
	for range runs {
		r := make(round)
		for _, s := range sources {
			if ctx.Err() != nil {
				return res
			}
			found, err := execute(ctx, s)
			if err != nil {
				res.errs = append(res.errs, err)

				continue
			}
			r[s] = found
		}
		res.rounds = append(res.rounds, r)
		slices.Reverse(sources)
	}

	return res
}

// values returns a metric of a source in the rounds that have it.
func (r result) values(s source, metric string) []float64 {
	var values []float64
	for _, round := range r.rounds {
		if v, ok := round[s][metric]; ok {
			values = append(values, v)
		}
	}

	return values
}

// ratios returns the ratio of two metrics for each round that has both.
func (r result) ratios(over source, overMetric string, under source, underMetric string) []float64 {
	var ratios []float64
	for _, round := range r.rounds {
		a, okA := round[over][overMetric]
		b, okB := round[under][underMetric]
		if okA && okB && b != 0 {
			ratios = append(ratios, a/b)
		}
	}

	return ratios
}

// failures joins the errors of the results.
func failures(results []result) error {
	var errs []error
	for _, r := range results {
		if len(r.errs) > 0 {
			errs = append(errs, fmt.Errorf("%s: %w", r.name, errors.Join(r.errs...)))
		}
	}

	return errors.Join(errs...)
}

// median returns the median of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}

	return (sorted[mid-1] + sorted[mid]) / 2
}
