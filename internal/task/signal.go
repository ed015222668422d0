package task

// Signal tells one goroutine that something has happened since it last looked.
type Signal chan struct{}

func NewSignal() Signal { return make(Signal, 1) }

func (s Signal) Signal() {
	select {
	case s <- struct{}{}:
	default:
	}
}
