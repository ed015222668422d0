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
	require.Error(t, run(t.Context(), 0, time.Second, 0, nil, nil))
	require.Error(t, run(t.Context(), 1, 0, 0, nil, nil))
}

func TestCheck(t *testing.T) {
	all := []*row{
		{name: "reference", rates: []float64{3}},
		{name: "fast", ours: true, rates: []float64{24}},
		{name: "slow", ours: true, rates: []float64{23}},
		{name: "of others", rates: []float64{3}},
	}
	require.NoError(t, check(all, 0))
	require.NoError(t, check(all, 7.5))
	require.EqualError(t, check(all, 8), "slow: 7.7 times as many blocks as reference, not 8.0")
}

// TestRowsThatAreOurs checks that the table has the rows to which -atleast applies.
func TestRowsThatAreOurs(t *testing.T) {
	var ours []string
	for _, r := range rows() {
		if r.ours {
			ours = append(ours, r.name)
		}
	}
	require.Equal(t, []string{"native switch", "libp2p switch, TCP", "libp2p switch, QUIC"}, ours)
	require.Equal(t, "gno", rows()[0].topology.Validators[0].Name, "all are compared with it")
}
