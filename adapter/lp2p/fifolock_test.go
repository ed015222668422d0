package lp2p

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestTurnstileKeepsTheOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ts turnstile
		var order []int
		var wg sync.WaitGroup
		ts.enter()
		for i := range 5 {
			wg.Go(func() {
				ts.enter()
				order = append(order, i)
				ts.leave()
			})
			synctest.Wait() // it queues
		}
		wg.Go(func() {
			ts.leave()
			ts.enter() // comes again at once, and is last nevertheless
			order = append(order, 5)
			ts.leave()
		})
		wg.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4, 5}, order)

		ts.enter() // free again
		ts.leave()
	})
}

func TestTurnstileExcludes(t *testing.T) {
	var ts turnstile
	var wg sync.WaitGroup
	inside, passed := 0, 0
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				ts.enter()
				inside++
				if inside == 1 {
					passed++
				}
				inside--
				ts.leave()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 8000, passed)
}
