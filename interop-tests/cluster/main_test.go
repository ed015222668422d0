package cluster

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/sidebyside"
)

// networksAtOnce is how many networks run at the same time. Most of the time their nodes wait
// for each other and for timeouts.
const networksAtOnce = 6

func TestMain(m *testing.M) {
	ChildMain()
	if err := sidebyside.Limit(networksAtOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// full reports whether the tests run at their full size: more blocks, longer faults, bounds
// on time, and one test after the other, so that a bound is one of the stack and not of the
// machine.
func full() bool { return os.Getenv("CLUSTER_FULL") != "" }

// atFullSize skips a test that adds to the others only a stack, or a fault on a stack, that
// other packages test too. Those that stay for every change see each stack, each fault, and
// the bridge.
func atFullSize(t *testing.T) {
	t.Helper()
	if !full() {
		t.Skip("runs with CLUSTER_FULL=1 only")
	}
}

// besideOthers runs the test beside others, except at full size.
func besideOthers(t *testing.T) {
	t.Helper()
	if !full() {
		t.Parallel()
	}
}
