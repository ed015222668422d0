package compattest

import (
	"slices"
	"testing"
)

// TestTransport tests every promise of compat.Transport and compat.PeerConn on
// the transports of makePair, which may be called concurrently. Each promise is a
// subtest, which runs on a pair of its own and in parallel with others, after
// TestTransport has returned; one that is exempted is skipped.
//
// The suite is the switch of both transports: it dials, accepts, starts and stops.
// It ends every peer that it was given, and may close a transport that has a
// method Close() error, before makePair's own cleanup runs; a second Close must do
// no harm. Errors that the promises name may be wrapped. Nothing depends on the
// speed of the machine, except that what does not happen within half a minute
// counts as missing.
//
// Whoever calls it checks for leaks when all its tests have ended, for example by
// goleak.VerifyTestMain.
func TestTransport(t *testing.T, makePair MakePair, exemptions ...Exemption) {
	t.Helper()
	s := transportSuite{makePair}
	// Those that wait for a timer come first, so that the others run meanwhile.
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

// transportSuite makes the pairs that the promises are tested on.
type transportSuite struct{ makePair MakePair }

// endpoints returns the two ends of a fresh pair, not connected. Their specs are
// what change makes of two nodes that fit; nil leaves them as they are.
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

// connected returns a pair that has one connection, dialed by a; neither end is
// started.
func (s transportSuite) connected(t *testing.T) *link {
	t.Helper()
	a, b := s.endpoints(t, nil)

	return connectEnds(t, a, b)
}

// running returns a pair that has one connection, with both ends started.
func (s transportSuite) running(t *testing.T) *link {
	t.Helper()
	l := s.connected(t)
	l.start(t)

	return l
}
