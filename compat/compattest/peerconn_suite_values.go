package compattest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// valuePromises cover Set and Get.
func (s transportSuite) valuePromises() []promiseCase {
	return []promiseCase{
		{"Values/Unknown", s.valuesUnknown},
		{"Values/Untouched", s.valuesUntouched},
		{"Values/Concurrent", s.valuesConcurrent},
		{"Values/FreshPerConnection", s.valuesFresh},
	}
}

func (s transportSuite) valuesUnknown(t *testing.T) {
	l := s.connected(t)
	require.True(t, l.out.Get("unknown") == nil)
	l.out.Set("known", 1)
	require.True(t, l.out.Get("unknown") == nil)
	require.True(t, l.in.Get("known") == nil, "each end has its own values")
}

func (s transportSuite) valuesUntouched(t *testing.T) {
	l := s.running(t)
	type state struct{ height int64 }
	value := &state{height: 1}
	l.out.Set("state", value)
	require.Same(t, value, l.out.Get("state"))
	l.out.Set("state", 2)
	require.Equal(t, 2, l.out.Get("state"))
	require.NoError(t, l.out.Stop())
	require.Equal(t, 2, l.out.Get("state"), "RemovePeer comes after the stop")
}

func (s transportSuite) valuesConcurrent(t *testing.T) {
	l := s.connected(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own := fmt.Sprint("key ", i)
			for n := range 500 {
				l.out.Set(own, n)
				l.out.Set("common", n)
				if l.out.Get(own) != n || l.out.Get("common") == nil {
					t.Errorf("%s does not have the value that was set", own)
				}
			}
		})
	}
	wg.Wait()
}

func (s transportSuite) valuesFresh(t *testing.T) {
	a, b := s.endpoints(t, nil)
	first := connectEnds(t, a, b)
	first.start(t)
	for _, dir := range []*link{first, first.turned()} {
		dir.out.Set("state", 1)
	}
	a.drop(first.out)
	awaitQuit(t, first.in)
	b.drop(first.in)

	second := connectEnds(t, a, b)
	for _, dir := range []*link{second, second.turned()} {
		require.True(t, dir.out.Get("state") == nil, "a value of the former connection")
	}
}
