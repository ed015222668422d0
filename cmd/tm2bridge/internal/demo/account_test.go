package demo

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSummaryErr(t *testing.T) {
	good := func() *Summary { return &Summary{Totals: Totals{Crossed: Crossed{ToLibp2p: 1, ToNative: 1}}} }
	require.NoError(t, good().Err())

	for want, spoil := range map[string]func(*Summary){
		"3 lost":                    func(s *Summary) { s.Lost = 3 },
		"-1 lost":                   func(s *Summary) { s.Lost = -1 },
		"2 duplicated":              func(s *Summary) { s.Duplicated = 2 },
		"1 reordered":               func(s *Summary) { s.Reordered = 1 },
		"1 corrupted":               func(s *Summary) { s.Corrupted = 1 },
		"1 links ended early":       func(s *Summary) { s.LinksEnded = 1 },
		"bridge to the libp2p side": func(s *Summary) { s.Crossed.ToLibp2p = 0 },
		"bridge to the native side": func(s *Summary) { s.Crossed.ToNative = 0 },
	} {
		t.Run(want, func(t *testing.T) {
			s := good()
			spoil(s)
			require.ErrorIs(t, s.Err(), ErrFaulty)
			require.ErrorContains(t, s.Err(), want)
		})
	}
}
