package native_test

import (
	"flag"
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/switchtest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

var crossings = flag.Int("crossings", 100, "crossed dials in TestManyCrossedDials")

func TestManyCrossedDials(t *testing.T) {
	const pairs = 20
	compattest.TestCrossedDials(t, func(*testing.T) compattest.MakeSwitch {
		return func(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
			t.Helper()

			return switchtest.New(t, spec, listenAs(t, spec.Spec, mconn.DefaultMConnConfig()), switchtest.Unsuspecting())
		}
	}, pairs, max(1, *crossings/pairs))
}
