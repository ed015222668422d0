package native_test

import (
	"flag"
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
)

var crossings = flag.Int("crossings", 200, "crossed dials in TestManyCrossedDials")

func TestManyCrossedDials(t *testing.T) {
	const pairs = 20
	compattest.TestCrossedDials(t, func(*testing.T) compattest.MakeSwitch { return makeSwitch }, pairs, max(1, *crossings/pairs))
}
