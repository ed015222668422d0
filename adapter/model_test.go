package adapter_test

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// TestModel has several nodes go through random scenarios and holds them to what
// the switch promises. A scenario is drawn first and then runs in a bubble of its
// own, in simulated time. When one fails, rapid looks for a smaller one that fails
// for the same reason, and prints it with the seed:
//
//	go test ./adapter -run TestModel/everything -rapid.seed=N
//
// -rapid.checks=N runs N scenarios of each kind, in place of 50.
//
// The goroutines of a bubble still run in an order that no seed determines: so,
// after the first failure, each scenario is tried several times. The first failure
// is printed too.
func TestModel(t *testing.T) {
	t.Run("everything", func(t *testing.T) { checkModel(t, everything) })
	t.Run("crossings", func(t *testing.T) { checkModel(t, crossings) })
	t.Run("crowds", func(t *testing.T) { checkModel(t, crowds) })
}

func checkModel(t *testing.T, f flavor) {
	t.Helper()
	first, attempts := "", 1
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the first failure:\n%s", first)
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt, f)
		for range attempts {
			history, err := runScenario(t, s)
			if err == nil {
				continue
			}
			report := fmt.Sprintf("%sscenario:\n%s%s", history, s, err)
			if first == "" {
				first, attempts = report, 10
			}
			rt.Log(report)
			rt.Fatal(kindOf(err))
		}
	})
}

var number = regexp.MustCompile(`\d+`)

// kindOf an error is the same whenever scenarios fail for the same reason.
func kindOf(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")

	return number.ReplaceAllString(line, "N")
}

// runScenario must not fail t, which outlives the scenario.
func runScenario(t *testing.T, s scenario) (history string, err error) {
	var w *world
	defer func() {
		if v := recover(); v != nil { // goroutines are left
			err = errors.Join(err, fmt.Errorf("the scenario has not ended: %v\n%s", v, bubbleStacks()))
		}
		history = strings.Join(w.history, "\n") + "\n"
	}()
	synctest.Test(t, func(*testing.T) {
		w = newWorld(s)
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		err = w.run()
	})

	return history, err
}

var inBubble = regexp.MustCompile(`^goroutine \d+ .*synctest bubble`)

// bubbleStacks returns the stacks of the goroutines of all bubbles.
func bubbleStacks() string {
	buf := make([]byte, 1<<20)
	var stacks []string
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if inBubble.MatchString(stack) {
			stacks = append(stacks, stack)
		}
	}

	return strings.Join(stacks, "\n\n")
}
