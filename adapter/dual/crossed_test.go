package dual_test

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/switchtest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var crossings = flag.Int("crossings", 20, "crossed dials of each pair of kinds in TestCrossedDialsAcrossStacks")

// Two nodes that dial each other at the same time, on whatever stacks, end with the one
// connection that the node with the lower ID has dialed. A native and a libp2p node, which
// no dial can connect, are the only pair that is left out.
func TestCrossedDialsAcrossStacks(t *testing.T) {
	t.Parallel()
	for _, a := range []string{"native", "libp2p", "dual", "dual, native first"} {
		for _, b := range []string{"native", "libp2p", "dual", "dual, native first"} {
			if a > b || a == "libp2p" && b == "native" {
				continue // which of the two has the lower ID is random
			}
			t.Run(a+" and "+b, func(t *testing.T) {
				t.Parallel()
				const pairs = 4
				compattest.TestCrossedDials(t, func(*testing.T) compattest.MakeSwitch {
					made := 0

					return func(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
						t.Helper()
						kind := a
						if made++; made%2 == 0 {
							kind = b
						}
						var opts []dual.Option
						if kind == "dual, native first" {
							kind, opts = "dual", []dual.Option{dual.WithDial(dual.DialNativeFirst)}
						}
						tr := kinds[kind](t, spec.Spec, opts...)
						require.NoError(t, tr.Listen(*spec.Info.NetAddress))

						return switchtest.New(t, spec, tr, switchtest.Unsuspecting())
					}
				}, pairs, max(1, *crossings/pairs))
			})
		}
	}
}
