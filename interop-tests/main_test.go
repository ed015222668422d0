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
const testsAtOnce = 6

func TestMain(m *testing.M) {
	if err := errors.Join(sidebyside.Limit(testsAtOnce), legacy.Build()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
