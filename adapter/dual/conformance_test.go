package dual_test

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/switchtest"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// policies are choices of a node. Unless -policies is given, the suite of the transport runs with the
// first, and that of the switch not at all: TestDualDropinConforms in interop-tests runs it through
// gno's types.
var policies = []struct {
	name string
	opts []dual.Option
}{
	{"default", nil},
	{"native first", []dual.Option{dual.WithDial(dual.DialNativeFirst)}},
	{"libp2p first", []dual.Option{dual.WithDial(dual.DialLibp2pFirst)}},
	{"dials native only", []dual.Option{dual.WithDial(dual.DialNative)}},
	{"dials libp2p only", []dual.Option{dual.WithDial(dual.DialLibp2p)}},
	{"accepts native only", []dual.Option{dual.WithStack(dual.StackNative)}},
	{"accepts libp2p only", []dual.Option{dual.WithStack(dual.StackLibp2p)}},
}

var allPolicies = flag.Bool("policies", false, "run the conformance suites with every policy")

func forPolicies(t *testing.T, test func(t *testing.T, opts []dual.Option)) {
	t.Helper()
	for i, p := range policies {
		if i == 0 || *allPolicies {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				test(t, p.opts)
			})
		}
	}
}

func TestTransportConformance(t *testing.T) {
	t.Parallel()
	forPolicies(t, func(t *testing.T, opts []dual.Option) {
		compattest.TestTransport(t, func(t *testing.T, a, b compattest.Spec) (compat.Transport, compat.Transport) {
			t.Helper()

			return listenAs(t, a, opts...), listenAs(t, b, opts...)
		})
	})
}

func TestSwitchConformance(t *testing.T) {
	t.Parallel()
	if !*allPolicies {
		t.Skip("runs with -policies only: TestDualDropinConforms in interop-tests runs the suite with the default policy")
	}
	forPolicies(t, func(t *testing.T, opts []dual.Option) {
		compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch { return makeSwitch(opts...) })
	})
}

func makeSwitch(opts ...dual.Option) compattest.MakeSwitch {
	return func(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
		t.Helper()

		return switchtest.New(t, spec, listenAs(t, spec.Spec, opts...))
	}
}

func listenAs(t *testing.T, spec compattest.Spec, opts ...dual.Option) *dual.Transport {
	t.Helper()
	tr := kinds["dual"](t, spec, opts...)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(*spec.Info.NetAddress))

	return tr.(*dual.Transport)
}
