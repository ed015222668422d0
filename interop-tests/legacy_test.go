package interoptests

import (
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
)

// TestGnoDialsGno tests the harness itself: peers of each version pass all traffic tests with
// a peer of the newest version.
func TestGnoDialsGno(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		a, b := startVersion(t, version, "a"), startVersion(t, legacy.V1_7_1, "b")
		a.Dial(b.Addr())
		requireConnected(t, a, b)
		exchange(t, a, b, allSizes)
	})
}
