package interoptests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/sidebyside"
)

// The suites test the promises on which TM2's reactors rely. gno's own transport and switch
// pass them except for the exemptions, which shows that the suites require nothing else.

func TestGnoTransportConforms(t *testing.T) {
	besideOthers(t)
	compattest.TestTransport(t, func(t *testing.T, a, b compattest.Spec) (compat.Transport, compat.Transport) {
		trA, trB := newGnoTransport(t, a), newGnoTransport(t, b)
		t.Cleanup(func() {
			trA.finish(t)
			trB.finish(t)
		})

		return trA, trB
	}, gnoTransportExemptions()...)
}

func TestGnoSwitchConforms(t *testing.T) {
	besideOthers(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return newGnoSwitch
	}, gnoSwitchExemptions()...)
}

// TestSwitchOnGnoTransportConforms checks that our switch on gno's transport keeps promises
// that gno's switch does not.
func TestSwitchOnGnoTransportConforms(t *testing.T) {
	besideOthers(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return newSwitchOnGno
	}, append(switchOnGnoExemptions(), shownByNative()...)...)
}

// besideOthers runs the test beside others. At its end, the test waits until all goroutines
// that it has started have ended. gno does not wait for its own.
func besideOthers(t *testing.T) {
	t.Helper()
	t.Parallel()
	goroutines := sidebyside.Track(t)
	t.Cleanup(func() { require.NoError(t, goroutines.Await(gnoPatience)) })
}
