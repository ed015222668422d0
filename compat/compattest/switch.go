package compattest

import (
	"slices"
	"testing"
)

// switchPromise is a promise of a Switch: the name of its subtest, and the
// subtest on a network of its own.
type switchPromise struct {
	name string
	test func(t *testing.T, c *cluster)
}

// TestSwitch checks that the switches of makeNetwork keep every promise of
// package compat, each in a subtest of its own, which runs on a network of its
// own and in parallel with others. The nodes have the IP 127.0.0.1. What does
// not happen is proved by what happens after it, never by waiting; so a switch
// that keeps its promises passes however slow it is, as long as each step takes
// less than 30 s.
//
// Promises that do not hold are listed in exemptions, with the reason.
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
	return slices.Concat(
		lifecyclePromises(), initPeerPromises(), receivePromises(), panicPromises(), peersPromises(),
		broadcastPromises(), sendPromises(), stopPeerPromises(), dialPromises(), crossedPromises(),
		eventsPromises(), limitsPromises(), persistentPromises(), shutdownPromises(),
	)
}
