package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	res := result{
		measurement: compare(
			check{metric: rate, against: &reference{"them", b, sealRate}, atLeast: 1.5},
			check{metric: p50, against: &reference{"them", b, p50}, atMost: 1. / 100},
			check{metric: p50, against: &reference{"them", b, p50}, atMost: 3},
			check{metric: allocs, atMost: 1},
			check{metric: heap, atMost: 64},
			check{metric: rate, against: &reference{"them", b, sealRate}},
		),
		rounds: []round{
			{a: metrics{rate: 2000, p50: 10, allocs: 1.5, foreignCPU: .25}, b: metrics{sealRate: 1000, p50: 2000}},
			{a: metrics{rate: 1000, p50: 20, allocs: 1}, b: metrics{sealRate: 1000, p50: 1000}},
			{a: metrics{rate: 3000, p50: 20, allocs: .5}, b: metrics{sealRate: 1200, p50: 1000}},
		},
	}
	var out strings.Builder
	require.NoError(t, writeReport(&out, settings{runs: 3, window: time.Second}, []result{res}))

	_, table, ok := strings.Cut(out.String(), tableHead)
	require.True(t, ok, out.String())
	require.Equal(t, `| case | rate | 2000 MB/s | them | 1000 MB/s | 2x | 1x..2.5x | ≥ 1.5x | yes |
|  | p50 | 20 µs | them | 1000 µs | 1/50 | 1/200..1/50 | ≤ 1/100 | **no** |
|  | p50 | 20 µs | them | 1000 µs | 0.02x | 0.005x..0.02x | ≤ 3x | yes |
|  | allocations a message, both sides | 1 |  |  |  | 0.5..1.5 | ≤ 1 | yes |
|  | heap a peer |  |  |  |  |  | ≤ 64 KiB | not measured |
|  | rate | 2000 MB/s | them | 1000 MB/s | 2x | 1x..2.5x |  |  |

3 targets met, 1 not met, 1 not measured. A ratio is the median of the rounds' ratios.
Other processes used 0.25 cores in the median run, 0.25 at most.
`, table)
}

func TestReportOfFailure(t *testing.T) {
	res := result{
		measurement: compare(check{metric: rate, against: &reference{"them", b, rate}, atLeast: 1}),
		rounds:      []round{{a: metrics{rate: 10}}},
	}
	line, v := res.row(res.checks[0])
	require.Equal(t, notMeasured, v)
	require.Equal(t, "rate | 10 MB/s | them |  |  |  | ≥ 1x", line)
}

func TestNumber(t *testing.T) {
	for want, v := range map[string]float64{
		"0": 0.0000043, "0.0123": 0.01234, "1.23": 1.2345, "100": 99.96, "1234": 1234.4,
		"12.3k": 12_345, "1000k": 999_960, "1.23M": 1_234_567, "1235M": 1_234_567_890,
	} {
		require.Equal(t, want, number(v), v)
	}
}
