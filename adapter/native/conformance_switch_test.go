package native_test

import (
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/switchtest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestSwitchConformance(t *testing.T) {
	t.Parallel()
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch { return makeSwitch })
}

// makeSwitch makes a switch on TCP connections of the native protocol.
func makeSwitch(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
	t.Helper()

	return switchtest.New(t, spec, listenAs(t, spec.Spec, mconn.DefaultMConnConfig()))
}
