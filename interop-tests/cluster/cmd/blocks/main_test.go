package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTable(t *testing.T) {
	var out strings.Builder
	require.NoError(t, printTable(&out, []*row{
		{name: "reference", rates: []float64{3, 2, 4}},
		{name: "fast", rates: []float64{30, 10, 20}},
	}))
	require.Equal(t, ""+
		"| Validators | Blocks/s | Range        | Times gno |\n"+
		"|---         |---       |---           |---        |\n"+
		"| reference  | 3.0      | 2.0 to 4.0   | 1.0       |\n"+
		"| fast       | 20.0     | 10.0 to 30.0 | 6.7       |\n", out.String())
}

func TestNothingToMeasure(t *testing.T) {
	require.Error(t, run(t.Context(), 0, time.Second, nil, nil))
	require.Error(t, run(t.Context(), 1, 0, nil, nil))
}
