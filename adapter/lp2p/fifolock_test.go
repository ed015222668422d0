package lp2p

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestFIFOLockKeepsTheOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l fifoLock
		var order []int
		var wg sync.WaitGroup
		l.lock()
		for i := range 5 {
			wg.Go(func() {
				l.lock()
				order = append(order, i)
				l.unlock()
			})
			synctest.Wait() // it queues
		}
		wg.Go(func() {
			l.unlock()
			l.lock() // comes again at once, and is last nevertheless
			order = append(order, 5)
			l.unlock()
		})
		wg.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4, 5}, order)

		l.lock() // free again
		l.unlock()
	})
}

func TestFIFOLockExcludes(t *testing.T) {
	var l fifoLock
	var wg sync.WaitGroup
	inside, passed := 0, 0
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				l.lock()
				inside++
				if inside == 1 {
					passed++
				}
				inside--
				l.unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 8000, passed)
}
