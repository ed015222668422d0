package flow

import (
	"math"
	"time"
)

// What a channel has sent loses a fifth every two seconds (docs/wire.md §5.3).
const (
	DecayInterval = 2 * time.Second
	DecayFactor   = 0.8
)

// Recent is a count of bytes that decays continuously. It is not safe for concurrent
// use. The zero value is empty.
type Recent struct {
	value   float64
	updated time.Time
}

// Add counts n bytes.
func (r *Recent) Add(now time.Time, n int) {
	r.value = r.At(now) + float64(n)
	r.updated = now
}

// At returns what is left of the bytes.
func (r *Recent) At(now time.Time) float64 {
	if r.value == 0 {
		return 0
	}

	return r.value * math.Pow(DecayFactor, now.Sub(r.updated).Seconds()/DecayInterval.Seconds())
}
