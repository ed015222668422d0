package bridge

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
)

// A native node both dials the bridge and is its target. It keeps one connection with an IP, so
// it ends what the bridge opens for libp2p nodes, and they come again: the bridge says so, with
// the cure.
func TestNodeThatDialsAndIsATargetIsNamed(t *testing.T) {
	native, libp2p, far := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p)
	far.ignorePeers(t)
	b := newBridge(t, Config{Libp2pPeers: addresses(far), NativePeers: addresses(native), OnlyConfigured: true})
	own := native.join(t, b.NativeAddress()).ID() // the bridge's, whose connection stays
	native.ignorePeers(t)
	awaitPairs(t, b, 1)
	for range minFlaps {
		libp2p.join(t, b.Libp2pAddress())
		require.Eventually(t, func() bool { // a pair may be up before the switch of its target has the peer
			for _, p := range native.sw.Peers().List() { // as the guard of a gno node does
				if p.ID() != own {
					native.sw.StopPeerForError(p, errors.New("peer from this IP already connected"))
				}
			}

			return len(libp2p.sw.Peers().List()) == 0
		}, testTimeout, time.Millisecond)
		next(t, libp2p.removed)
		awaitPairs(t, b, 1)
	}
	var f FlappingStatus
	require.Eventually(t, func() bool {
		flapping := b.Status().Flapping
		i := slices.IndexFunc(flapping, func(f FlappingStatus) bool { return f.ID == libp2p.address.ID })
		if i >= 0 {
			f = flapping[i]
		}

		return i >= 0
	}, testTimeout, time.Millisecond)
	require.Equal(t, InitiatorLibp2p, f.Initiator)
	require.Equal(t, native.address.ID, f.Target)
	require.GreaterOrEqual(t, f.Ended, minFlaps)
	require.LessOrEqual(t, f.Ended, minFlaps+libp2p.late)
	require.Equal(t, InitiatorNative, f.By)
	require.True(t, f.Known, "the cause is certain, though nobody knows the libp2p node")
	require.Contains(t, f.Cure, "both dials this bridge and is a target")
}

// The ends of strangers' pairs are counted apart: they say nothing of the bridge.
func TestEndsOfStrangersAreCountedApart(t *testing.T) {
	known, stranger, target := newNode(t, InitiatorNative), newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	target.ignorePeers(t)
	b := newBridge(t, Config{Libp2pPeers: addresses(target), UnconditionalPeers: []types.ID{known.address.ID}})
	all := func(Count) bool { return true }
	before := 0
	for _, n := range []*node{stranger, known} {
		n.join(t, b.NativeAddress())
		awaitPairs(t, b, 1)
		n.leave(t, b)
		var ended []Count
		require.Eventually(t, func() bool {
			c := b.Status().Counters
			ended = c.PairsEnded

			return sum(ended, all) > before && sum(ended, all) == int(c.PairsOpened)
		}, testTimeout, time.Millisecond)
		news := sum(ended, all) - before // one, and what was up for a dial of the node that was late
		require.LessOrEqual(t, news, 1+n.late)
		ofItsKind := func(c Count) bool { return c.Known == (n == known) }
		require.Equal(t, news, sum(ended, ofItsKind))
		require.NotZero(t, sum(ended, func(c Count) bool { return ofItsKind(c) && c.Side == InitiatorNative }))
		before += news
	}
}

// fakePair is a pair of which only what its end tells counts.
func fakePair(t *testing.T, initiator string) *pair {
	p := (&Bridge{ctx: t.Context()}).newPair(initiator)
	p.id, p.target, p.from = types.GenerateNodeKey().ID(), &target{}, netip.MustParsePrefix("9.9.0.1/32")

	return p
}

func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, p := newJournal(), fakePair(t, InitiatorNative)
		end := func(e *ending, after time.Duration) {
			p.since = time.Now()
			time.Sleep(after)
			j.flapped(p, e, false, time.Now())
		}
		byNode := &ending{errors.New("gone"), p.native}
		for range minFlaps {
			require.Empty(t, j.flapping(time.Now()))
			end(byNode, time.Second)
		}
		f := j.flapping(time.Now())[0]
		require.Equal(t, minFlaps, f.Ended)
		require.False(t, f.Known)
		require.Contains(t, f.Cure, "The node itself")
		end(&ending{errors.New("gone"), p.libp2p}, time.Second)
		require.Contains(t, j.flapping(time.Now())[0].Cure, "The target ends")

		for _, byBridge := range []error{errMoves, errBlockedPair} {
			end(&ending{error: byBridge}, time.Second)
		}
		require.Equal(t, minFlaps+1, j.flapping(time.Now())[0].Ended, "the bridge has ended the others")
		end(byNode, conduct.UsefulUptime)
		require.Empty(t, j.flapping(time.Now()), "a pair has lasted")

		for range minFlaps {
			end(byNode, time.Second)
		}
		time.Sleep(FlapAge + time.Second)
		require.Empty(t, j.flapping(time.Now()))
		require.Empty(t, j.flaps)
	})
}

// A known node whose pairs end and come again is a stranger to the bridge, but not if it is configured.
// The light tells of it unless it ends its pairs itself, which it may do as often as it likes.
func TestKnownNodeThatFlapsIsAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, p := newJournal(), fakePair(t, InitiatorNative)
		pairEnds := func(by *side, after time.Duration) {
			p.since = time.Now()
			time.Sleep(after)
			j.sight(p.id, InitiatorNative, p.from.Addr(), time.Now()).unpaired(p.since, time.Now())
			j.flapped(p, &ending{errors.New("gone"), by}, false, time.Now())
		}
		pairEnds(p.native, conduct.UsefulUptime)
		for range minFlaps {
			require.True(t, j.knows(p.id))
			pairEnds(p.native, time.Second)
		}
		require.False(t, j.knows(p.id))
		require.False(t, j.flapping(time.Now())[0].Known, "the node ends them")
		pairEnds(p.libp2p, time.Second)
		require.False(t, j.knows(p.id))
		require.True(t, j.flapping(time.Now())[0].Known)
		pairEnds(p.native, conduct.UsefulUptime)
		require.True(t, j.knows(p.id), "a pair has lasted")

		for range minFlaps {
			pairEnds(p.native, time.Second)
		}
		time.Sleep(FlapAge)
		require.False(t, j.knows(p.id))
		time.Sleep(time.Second)
		require.True(t, j.knows(p.id), "it has stopped")

		j.exempt = func(types.ID) bool { return true }
		for range minFlaps {
			pairEnds(p.native, time.Second)
		}
		require.True(t, j.knows(p.id))
		require.True(t, j.flapping(time.Now())[0].Known)
	})
}

// Whoever comes under ever new IDs does not fill the list.
func TestFlappingIsBounded(t *testing.T) {
	j := newJournal()
	for i := range 2 * maxFlapping {
		p := fakePair(t, InitiatorNative)
		p.since = time.Now()
		p.from = netip.PrefixFrom(netip.AddrFrom4([4]byte{9, byte(i), 0, 1}), 32)
		j.flapped(p, &ending{errors.New("gone"), p.native}, false, time.Now())
	}
	require.Len(t, j.flaps, maxFlapping)
}
