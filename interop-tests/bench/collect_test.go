package main

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	a = source{"a", "x/case"}
	b = source{"b", "x/case"}
)

func compare(checks ...check) measurement {
	return measurement{name: "case", ours: a, checks: checks}
}

func TestCollectTakesTurns(t *testing.T) {
	m := compare(
		check{metric: rate, against: &reference{"b", b, rate}, atLeast: 1},
		check{metric: p50, against: &reference{"b", b, p50}, atMost: 1},
	)
	var order []source
	res := collect(t.Context(), m, 3, func(_ context.Context, s source) (metrics, error) {
		order = append(order, s)

		return metrics{rate: float64(len(order))}, nil
	})

	require.Equal(t, []source{a, b, b, a, a, b}, order)
	require.Equal(t, []float64{1, 4, 5}, res.values(a, rate))
	require.Equal(t, []float64{2, 3, 6}, res.values(b, rate))
	require.Equal(t, []float64{1. / 2, 4. / 3, 5. / 6}, res.ratios(a, rate, b, rate))
	require.Empty(t, res.values(a, p50))
	require.NoError(t, failures([]result{res}))
}

func TestCollectSteady(t *testing.T) {
	for runs, want := range map[int]int{1: 1, 3: 1, 5: 2, 9: 3} {
		m := compare(check{metric: heap, atMost: 1})
		m.steady = true
		res := collect(t.Context(), m, runs, func(context.Context, source) (metrics, error) { return metrics{heap: 1}, nil })
		require.Len(t, res.rounds, want)
	}
}

func TestCollectFailure(t *testing.T) {
	broken := errors.New("broken")
	m := compare(check{metric: rate, against: &reference{"b", b, rate}, atLeast: 1})
	n := 0
	res := collect(t.Context(), m, 2, func(_ context.Context, s source) (metrics, error) {
		if n++; n == 1 {
			return nil, broken
		}

		return metrics{rate: 1}, nil
	})
	require.Len(t, res.values(a, rate), 1)
	require.Len(t, res.values(b, rate), 2)
	require.Len(t, res.ratios(a, rate, b, rate), 1, "only a round that has both")
	require.ErrorIs(t, failures([]result{res}), broken)
}

func TestCollectCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	res := collect(ctx, compare(check{metric: rate, atLeast: 1}), 5, func(context.Context, source) (metrics, error) {
		n++
		cancel()

		return metrics{}, nil
	})
	require.Equal(t, 1, n)
	require.Len(t, res.rounds, 1)
}

func TestMedian(t *testing.T) {
	values := []float64{9, 1, 5}
	require.EqualValues(t, 5, median(values))
	require.Equal(t, []float64{9, 1, 5}, values, "the order is that of the rounds")
	require.EqualValues(t, 3, median([]float64{1, 5}))
}
