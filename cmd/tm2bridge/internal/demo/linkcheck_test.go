package demo

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func account(numbers ...uint64) (v verdict) {
	var c linkCheck
	for _, n := range numbers {
		got := c.add(n)
		v.lost += got.lost
		v.duplicated += got.duplicated
		v.reordered += got.reordered
	}

	return v
}

func TestLinkCheck(t *testing.T) {
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

func TestLinkCheckBoundsItsMemory(t *testing.T) {
	var c linkCheck
	require.Equal(t, verdict{lost: 1<<40 - 1}, c.add(1<<40))
	require.Len(t, c.missing, maxMissing)
	require.Equal(t, verdict{duplicated: 1}, c.add(1<<39), "too old to be remembered")
}

func TestSeqSet(t *testing.T) {
	var s seqSet
	for _, n := range []uint64{3, 1, 5, 2} {
		require.True(t, s.add(n), n)
		require.False(t, s.add(n), n)
	}
	require.EqualValues(t, 3, s.upTo)
	require.True(t, s.add(4))
	require.EqualValues(t, 5, s.upTo)
	require.Empty(t, s.above, "a set without holes keeps no numbers")
	require.False(t, s.add(1))
}

func TestSeqSetLikeAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var s seqSet
	known := make(map[uint64]bool)
	for range 20000 {
		n := uint64(rng.IntN(64)) + s.upTo
		if n == 0 {
			continue
		}
		require.Equal(t, !known[n], s.add(n), n)
		known[n] = true
		require.Less(t, len(s.above), 64)
	}
}
