package adapter

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
	_ "pgregory.net/rapid" // has the flag
)

// TestMain lets TestModel run 50 scenarios of each kind, half of rapid's default, unless the command
// line says how many.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "50"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
