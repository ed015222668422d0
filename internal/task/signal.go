package task

// Signal tells one goroutine that something has happened since it last looked. NewSignal
// makes one.
type Signal struct{ set chan struct{} }

// NewSignal returns a signal that is not set.
func NewSignal() Signal { return Signal{make(chan struct{}, 1)} }

// Set sets the signal. It does not block, and does nothing while the signal is set.
func (s Signal) Set() {
	select {
	case s.set <- struct{}{}:
	default:
	}
}

// C returns the channel from which the signal is received, which clears it.
func (s Signal) C() <-chan struct{} { return s.set }
