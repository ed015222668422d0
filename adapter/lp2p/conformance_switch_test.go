package lp2p_test

import (
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/switchtest"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestSwitchConformance(t *testing.T) {
	t.Parallel()
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch { return makeSwitch() })
}

// makeSwitch makes switches on libp2p sessions.
func makeSwitch(opts ...lp2p.Option) compattest.MakeSwitch {
	return func(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
		t.Helper()

		return switchtest.New(t, spec, listenAs(t, spec.Spec, opts...))
	}
}
