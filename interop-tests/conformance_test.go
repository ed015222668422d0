package interoptests

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
)

// The suites hold what TM2's reactors rely on. That gno's own transport and
// switch pass them, but for the exemptions, shows that they ask for nothing else.

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

// Our switch on gno's transport keeps the promises that gno's switch does not.
func TestSwitchOnGnoTransportConforms(t *testing.T) {
	awaitNoLeak(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return newSwitchOnGno
	}, switchOnGnoExemptions()...)
}

// awaitNoLeak has the test wait, at its end, until all goroutines have ended
// that are not there now. gno waits for none of its own.
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
