package compattest

import (
	"slices"
	"testing"
)

// switchPromise is a promise of a Switch: the name of its subtest, and the subtest, which
// gets a new network.
type switchPromise struct {
	name string
	test func(t *testing.T, c *cluster)
}

// TestSwitch checks that the switches of makeNetwork keep every promise of package compat.
// Each promise is a parallel subtest on a new network. The nodes have the IP 127.0.0.1.
//
// To prove that something does not happen, a test waits for a later event, never for time.
// So a slow switch passes, as long as each step takes less than a minute.
//
// Exemptions list the promises that are not tested, with the reason.
func TestSwitch(t *testing.T, makeNetwork MakeNetwork, exemptions ...Exemption) {
	t.Helper()
	var cases []promiseCase
	for _, p := range switchPromises() {
		cases = append(cases, promiseCase{name: p.name, f: func(t *testing.T) {
			t.Parallel()
			p.test(t, newCluster(t, makeNetwork))
		}})
	}
	runPromises(t, exemptions, cases)
}

func switchPromises() []switchPromise {
	// Promises that wait for a timer come first, so that the others run meanwhile.
	return slices.Concat(
		seedPromises(), controlPromises(), lifecyclePromises(), initPeerPromises(), receivePromises(), panicPromises(), peersPromises(),
		broadcastPromises(), sendPromises(), stopPeerPromises(), dialPromises(), crossedPromises(),
		eventsPromises(), limitsPromises(), persistentPromises(), shutdownPromises(),
	)
}
