package demo

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func account(numbers ...uint64) (v verdict) {
	var c numberCheck
	for _, n := range numbers {
		got := c.add(n)
		v.lost += got.lost
		v.duplicated += got.duplicated
		v.reordered += got.reordered
	}

	return v
}

func TestNumberCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		numbers []uint64
		want    verdict
	}{
		"perfect":                {[]uint64{1, 2, 3, 4}, verdict{}},
		"nothing":                {nil, verdict{}},
		"one lost":               {[]uint64{1, 2, 4, 5}, verdict{lost: 1}},
		"first lost":             {[]uint64{2, 3}, verdict{lost: 1}},
		"several lost":           {[]uint64{1, 5, 9}, verdict{lost: 6}},
		"repeated":               {[]uint64{1, 2, 2, 3}, verdict{duplicated: 1}},
		"repeated later":         {[]uint64{1, 2, 3, 1}, verdict{duplicated: 1}},
		"swapped":                {[]uint64{1, 3, 2, 4}, verdict{reordered: 1}},
		"late":                   {[]uint64{1, 3, 4, 5, 2, 6}, verdict{reordered: 1}},
		"late and repeated":      {[]uint64{1, 3, 2, 2}, verdict{reordered: 1, duplicated: 1}},
		"lost, late, duplicated": {[]uint64{1, 4, 3, 4}, verdict{lost: 1, reordered: 1, duplicated: 1}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, account(tc.numbers...)) })
	}
}

func TestNumberCheckBoundsItsMemory(t *testing.T) {
	var c numberCheck
	require.Equal(t, verdict{lost: 1<<40 - 1}, c.add(1<<40))
	require.Len(t, c.missing, maxMissing)
	require.Equal(t, verdict{duplicated: 1}, c.add(1<<39), "too old to be remembered")
}

func TestNumberCheckKeepsOnlyHoles(t *testing.T) {
	var c numberCheck
	for _, n := range []uint64{3, 1, 5, 2} {
		require.Zero(t, c.add(n).duplicated, n)
		require.Equal(t, verdict{duplicated: 1}, c.add(n), n)
	}
	require.Zero(t, c.add(4).duplicated)
	require.EqualValues(t, 5, c.last)
	require.Empty(t, c.missing, "without holes it keeps no numbers")
	require.Equal(t, verdict{duplicated: 1}, c.add(1))
}

func TestNumberCheckLikeAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var c numberCheck
	known := make(map[uint64]bool)
	all := uint64(0) // the numbers up to this one have arrived
	for range 20000 {
		n := uint64(rng.IntN(64)) + all
		if n == 0 {
			continue
		}
		require.Equal(t, known[n], c.add(n).duplicated == 1, n)
		known[n] = true
		for known[all+1] {
			all++
		}
		require.Less(t, len(c.missing), 64)
	}
}
