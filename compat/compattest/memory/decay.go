package memory

import (
	"math"
	"sync"
	"time"
)

// decay is an exponentially decaying sum. An amount counts e^-t after t seconds, so the
// value of a steady flow is its rate per second.
type decay struct {
	mtx sync.Mutex
	sum float64
	at  time.Time
}

func (d *decay) add(n int) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.age()
	d.sum += float64(n)
}

func (d *decay) value() int64 {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.age()

	return int64(d.sum)
}

// age brings the sum up to now. The caller holds the lock.
func (d *decay) age() {
	now := time.Now()
	d.sum *= math.Exp(-now.Sub(d.at).Seconds())
	d.at = now
}
