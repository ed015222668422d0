package interoptests

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
)

// The suites test the promises on which TM2's reactors rely. gno's own transport and switch
// pass them except for the exemptions, which shows that the suites require nothing else.

func TestGnoTransportConforms(t *testing.T) {
	awaitNoLeak(t)
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
	awaitNoLeak(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return newGnoSwitch
	}, gnoSwitchExemptions()...)
}

// TestSwitchOnGnoTransportConforms checks that our switch on gno's transport keeps promises
// that gno's switch does not.
func TestSwitchOnGnoTransportConforms(t *testing.T) {
	awaitNoLeak(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return newSwitchOnGno
	}, switchOnGnoExemptions()...)
}

// awaitNoLeak makes the test wait at its end until all goroutines started since have ended.
// gno does not wait for its own.
func awaitNoLeak(t *testing.T) {
	t.Helper()
	current := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		deadline := time.NewTimer(gnoPatience)
		defer deadline.Stop()
		for leak := goleak.Find(current); leak != nil; leak = goleak.Find(current) {
			select {
			case <-deadline.C:
				t.Error(leak)

				return
			default: // Find has waited for a while
			}
		}
	})
}
