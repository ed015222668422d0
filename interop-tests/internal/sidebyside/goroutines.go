package sidebyside

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"testing"
	"time"
)

const (
	label = "test"
	// lookEvery is the time between two looks at the goroutines. A look stops them all.
	lookEvery = 200 * time.Millisecond
)

// Goroutines are those that a test has started, and those that they have started in turn.
// Timers start goroutines that belong to no test.
type Goroutines struct {
	test string
	ctx  context.Context // has the label
}

// Track counts the goroutines that the test starts from now on. The test calls it, and all
// methods, in its own goroutine. Subtests belong to the test.
func Track(t testing.TB) Goroutines {
	t.Helper()
	g := Goroutines{test: t.Name(), ctx: pprof.WithLabels(t.Context(), pprof.Labels(label, t.Name()))}
	pprof.SetGoroutineLabels(g.ctx)

	return g
}

// Await waits until all have ended. When some have not within the patience, it returns an
// error with their stacks.
func (g Goroutines) Await(patience time.Duration) error {
	pprof.SetGoroutineLabels(context.Background()) // the caller does not wait for itself
	defer pprof.SetGoroutineLabels(g.ctx)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	looks := time.NewTicker(lookEvery)
	defer looks.Stop()
	for {
		left, err := g.stacks()
		if err != nil || len(left) == 0 {
			return err
		}
		select {
		case <-looks.C:
		case <-deadline.C:
			return fmt.Errorf("goroutines of %s are left after %s:\n%s", g.test, patience, bytes.Join(left, []byte("\n\n")))
		}
	}
}

// stacks returns the stacks of the goroutines that are alive.
func (g Goroutines) stacks() (list [][]byte, err error) {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return nil, err
	}
	for stack := range bytes.SplitSeq(profile.Bytes(), []byte("\n\n")) {
		if bytes.Contains(stack, fmt.Appendf(nil, "%q:%q", label, g.test)) {
			list = append(list, stack)
		}
	}

	return list, nil
}
