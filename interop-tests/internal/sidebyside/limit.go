package sidebyside

import (
	"flag"
	"strconv"
)

// flagName is the flag of go test that limits how many tests run at the same time.
const flagName = "test.parallel"

// Limit lets n parallel tests run at the same time, unless the command line sets -parallel.
// The default of go test is one for each processor, which leaves processors idle while tests
// wait. TestMain calls Limit before it runs the tests.
func Limit(n int) error {
	if !flag.Parsed() {
		flag.Parse()
	}
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == flagName })
	if set {
		return nil
	}

	return flag.Set(flagName, strconv.Itoa(n))
}
