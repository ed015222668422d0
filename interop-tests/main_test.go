package interoptests

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/sidebyside"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
)

// testsAtOnce is how many tests run at the same time. Most of the time they wait for gno,
// which sends 5 MB a second and pings by a timer.
const testsAtOnce = 8

// full reports whether the tests run at their full size: all traffic with every version of
// gno, and the suite of the switch over each stack of the drop-in.
func full() bool { return os.Getenv("INTEROP_FULL") != "" }

func atFullSize(t *testing.T) {
	t.Helper()
	if !full() {
		t.Skip("runs with INTEROP_FULL=1 only")
	}
}

func TestMain(m *testing.M) {
	if err := errors.Join(sidebyside.Limit(testsAtOnce), legacy.Build()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
