package compattest

import (
	"slices"
	"testing"
)

// TestTransport tests every promise of compat.Transport and compat.PeerConn on the
// transports of makePair, which must allow concurrent calls. Each promise is a parallel
// subtest on a new pair, which runs after TestTransport has returned. Exempted promises
// are skipped.
//
// The suite takes the place of the switch of both transports. It ends every peer that Dial
// and Accept return. It may call Close on a transport that has a method Close() error
// before the cleanup of makePair runs, so a second Close must do nothing. Errors that the
// promises name may be wrapped. A step that takes more than a minute fails; nothing else
// depends on the speed of the machine.
//
// The caller checks for leaks after all tests have ended, for example with
// goleak.VerifyTestMain.
func TestTransport(t *testing.T, makePair MakePair, exemptions ...Exemption) {
	t.Helper()
	s := transportSuite{makePair}
	// Promises that wait for a timer come first, so that the others run meanwhile.
	cases := slices.Concat(
		s.sendPromises(), s.flushPromises(),
		s.endPromises(), s.dialPromises(), s.refusalPromises(), s.admissionPromises(), s.acceptPromises(), s.closePromises(),
		s.servicePromises(), s.orderPromises(), s.receivePromises(),
		s.failurePromises(), s.valuePromises(), s.statusPromises(),
	)
	for i, c := range cases {
		cases[i].f = func(t *testing.T) {
			t.Parallel()
			c.f(t)
		}
	}
	runPromises(t, exemptions, cases)
}

// transportSuite makes the pairs of transports for the subtests.
type transportSuite struct{ makePair MakePair }

// endpoints returns the two ends of a new pair, not connected. change, if not nil, modifies
// the specs of the two nodes, which are compatible otherwise.
func (s transportSuite) endpoints(t *testing.T, change func(a, b *Spec)) (a, b *endpoint) {
	t.Helper()
	specA, specB := newSpec("a"), newSpec("b")
	if change != nil {
		change(&specA, &specB)
	}
	trA, trB := s.makePair(t, specA, specB)
	a, b = newEndpoint(specA, trA), newEndpoint(specB, trB)
	t.Cleanup(a.dropAll)
	t.Cleanup(b.dropAll)

	return a, b
}

// connected returns a pair with one connection, dialed by a. Neither end is started.
func (s transportSuite) connected(t *testing.T) *link {
	t.Helper()
	a, b := s.endpoints(t, nil)

	return connectEnds(t, a, b)
}

// running returns a pair with one connection. Both ends are started.
func (s transportSuite) running(t *testing.T) *link {
	t.Helper()
	l := s.connected(t)
	l.start(t)

	return l
}
