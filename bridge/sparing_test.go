package bridge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// charging are the native targets of a bridge at defaults. The one target keeps a conduct book.
type charging struct {
	*targets
	t    *testing.T
	book *conduct.Book
}

func newCharging(t *testing.T, at *types.NetAddress) *charging {
	t.Helper()
	b, err := New(*types.GenerateNodeKey(), Config{NativePeers: []*types.NetAddress{at}}, quiet())
	require.NoError(t, err)

	return &charging{b.nativeTargets, t, conduct.New()}
}

// dial is pick for another node like this one. The target charges the bridge, and must not refuse it.
func (c *charging) dial(node dialer) *target {
	node.id = types.GenerateNodeKey().ID()
	picked := c.pick(node, nil)
	if picked != nil {
		bridge := netgroup.Host(netgroup.FromIP(net.IPv4(5, 5, 5, 5)))
		require.Zero(c.t, c.book.Charge("", bridge, conduct.ConnPoints, conduct.ErrManyConns), "the target refuses the bridge")
	}

	return picked
}

// wave dials for as many nodes at the same moment as get a target, and releases these.
func (c *charging) wave(node dialer, atOnce int, o outcome) int {
	var wave []*target
	for len(wave) < atOnce {
		picked := c.dial(node)
		if picked == nil {
			break
		}
		wave = append(wave, picked)
	}
	for _, picked := range wave {
		c.release(picked, o)
	}

	return len(wave)
}

// Strangers that come and go cost the bridge at most half of what a native target bears, known nodes
// three quarters, and later no more than fades there, under however many IDs and from however many
// hosts, one after the other or at the same moment, whatever becomes of them. Known nodes get in when
// strangers do not, and a configured one always gets through.
func TestStrangersCostTheBridgeLittleAtANativeTarget(t *testing.T) {
	for _, c := range []struct {
		node   dialer
		burst  float64
		atOnce int
	}{
		{dialer{stranger: true}, spareBurst, 1},
		{dialer{stranger: true}, spareBurst, 30},
		{dialer{known: true}, knownBurst, 1},
		{dialer{known: true}, knownBurst, 30},
	} {
		for _, o := range []outcome{declined, faulty, dropped, nodeLeftEarly, unknown} {
			synctest.Test(t, func(t *testing.T) {
				const span = 20 * time.Minute
				to, total := newCharging(t, dialable(1)), 0
				for begun := time.Now(); time.Since(begun) < span; time.Sleep(time.Second) {
					total += to.wave(c.node, c.atOnce, o)
				}
				require.LessOrEqual(t, float64(total), c.burst+float64(span/spareEvery))
				require.Greater(t, total, int(span/spareEvery)/2, "they get in all the while")
				to.wave(c.node, 2*mostConns, o)
				spared := func(t *target) bool { return t.barred == errSpared }
				require.True(t, slices.ContainsFunc(to.all(c.node), spared))
				if c.node.stranger {
					require.NotZero(t, to.wave(dialer{known: true}, 2*mostConns, o))
				}
				require.NotNil(t, to.dial(dialer{}), "a configured node")
			})
		}
	}
}

// Pairs that last hold back no stranger who comes after them, nor do dials of a target that cannot be
// reached, or that is on this machine.
func TestUsefulPairsAreNotHeldBack(t *testing.T) {
	local := dialable(1)
	local.IP = net.IPv4(127, 0, 0, 1)
	for _, c := range []struct {
		at    *types.NetAddress
		o     outcome
		lasts time.Duration
	}{{dialable(1), kept, minUptime}, {dialable(1), nodeLeft, minUptime}, {dialable(1), unreachable, 0}, {local, declined, 0}} {
		synctest.Test(t, func(t *testing.T) {
			ts := newCharging(t, c.at).targets
			for range 4 * spareBurst {
				picked := ts.pick(dialer{id: "stranger", stranger: true}, nil)
				require.NotNil(t, picked)
				time.Sleep(c.lasts)
				if c.o == unreachable {
					ts.refund(picked)
				}
				ts.release(picked, c.o)
			}
		})
	}
}

// hub is a libp2p target that keeps a conduct book, and the sessions of a bridge there.
type hub struct {
	*targets
	t    *testing.T
	book *conduct.Book
	ends map[*target]time.Time
	past int // sessions on the connection that have ended and were not charged yet
}

func (h *hub) charge(points float64) {
	bridge := netgroup.Host(netgroup.FromIP(net.IPv4(5, 5, 5, 5)))
	require.Zero(h.t, h.book.Charge("", bridge, points, conduct.ErrManyConns), "the target refuses the bridge")
}

// dial makes a session for another node like this one, if it gets one.
func (h *hub) dial(node dialer, lasts time.Duration) bool {
	node.id = types.GenerateNodeKey().ID()
	picked := h.pick(node, nil)
	switch {
	case picked == nil:
		return false
	case len(h.ends) == 0:
		h.charge(conduct.ConnPoints)
		h.past = 0
	case h.past > 0:
		h.charge(conduct.RefusedPoints)
		h.past--
	}
	h.ends[picked] = time.Now().Add(lasts)

	return true
}

// settle ends the sessions whose time is over.
func (h *hub) settle(o outcome, violate bool) {
	for picked, end := range h.ends {
		if time.Now().Before(end) {
			continue
		}
		delete(h.ends, picked)
		h.past++
		if violate {
			h.charge(conduct.RefusedPoints)
		}
		h.release(picked, o)
	}
}

// Native nodes that come and go, strangers or known ones, get no libp2p target to refuse the bridge,
// whoever ends their pairs and whatever for, one after the other or as many at a time as a target takes
// from a bridge. Such nodes get in all the while, and a configured one always gets through.
func TestStrangersCostTheBridgeLittleAtALibp2pTarget(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	stranger, known := dialer{stranger: true}, dialer{known: true}
	for _, nodes := range [][]dialer{{stranger}, {known}, {stranger, known}} {
		for _, atOnce := range []int{1, 2, 10} {
			for _, longest := range []time.Duration{0, 5 * time.Second, 30 * time.Second} {
				synctest.Test(t, func(t *testing.T) { comeAndGoAtAHub(t, rng, nodes, atOnce, longest) })
			}
		}
	}
}

func comeAndGoAtAHub(t *testing.T, rng *rand.Rand, nodes []dialer, atOnce int, longest time.Duration) {
	t.Helper()
	const span = 5 * time.Minute
	outcomes := []outcome{declined, faulty, dropped, nodeLeftEarly, unknown}
	b, err := New(*types.GenerateNodeKey(), Config{Libp2pPeers: []*types.NetAddress{dialable(1)}}, quiet())
	require.NoError(t, err)
	h, total := &hub{b.libp2pTargets, t, conduct.New(), make(map[*target]time.Time), 0}, 0
	for begun := time.Now(); time.Since(begun) < span; time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond) {
		h.settle(outcomes[rng.IntN(len(outcomes))], rng.IntN(2) == 0)
		for len(h.ends) < atOnce && h.dial(nodes[rng.IntN(len(nodes))], time.Duration(rng.Int64N(int64(longest)+1))) {
			total++
		}
	}
	require.Greater(t, total, int(span/spareEvery)/4, "they get in all the while")
	if atOnce == 1 && len(nodes) == 1 && nodes[0].stranger {
		for h.dial(nodes[0], 0) {
			h.settle(nodeLeftEarly, false)
		}
		require.True(t, h.dial(dialer{known: true}, 0), "known nodes get in when strangers do not")
	}
	require.NotNil(t, h.pick(dialer{id: "configured"}, nil))
}

// Nodes that come at the same moment, as after a restart of the bridge, are not held back, nor by
// dials that do not reach the target, or when the target is on this machine.
func TestStrangersComeAtOnceToALibp2pTarget(t *testing.T) {
	local := dialable(1)
	local.IP = net.IPv4(127, 0, 0, 1)
	for _, c := range []struct {
		at     *types.NetAddress
		o      outcome
		atOnce int
	}{{dialable(1), kept, 100}, {dialable(1), unreachable, 1}, {local, faulty, 1}} {
		synctest.Test(t, func(t *testing.T) {
			b, err := New(*types.GenerateNodeKey(), Config{Libp2pPeers: []*types.NetAddress{c.at}}, quiet())
			require.NoError(t, err)
			for range 100 / c.atOnce {
				var wave []*target
				for range c.atOnce {
					picked := b.libp2pTargets.pick(dialer{id: types.GenerateNodeKey().ID(), stranger: true}, nil)
					require.NotNil(t, picked)
					wave = append(wave, picked)
				}
				for _, picked := range wave {
					b.libp2pTargets.release(picked, c.o)
				}
			}
		})
	}
}

// A dial that does not reach its libp2p target costs nothing there, also if the bridge has no sockets,
// or gives up after a search in vain. One that the node cuts short may have reached it, and one that
// succeeds too late has.
func TestDialsThatReachNobodyAreNotCharged(t *testing.T) {
	for name, c := range map[string]struct {
		before []string
		last   func(context.Context, types.NetAddress) (compat.PeerConn, error)
		comes  time.Duration // when the node opens another pair; zero: never
		owes   bool
	}{
		"no sockets": {[]string{"silent"}, after(0, syscall.EMFILE), 0, false},
		"dead":       {[]string{"silent", "too"}, silentTarget, 0, false},
		"replaced":   {[]string{"silent"}, silentTarget, patience + time.Millisecond, true},
		"late":       {[]string{"silent"}, after(2400*time.Millisecond, nil), 0, true},
		"refuses":    {[]string{"silent"}, after(0, &compat.RejectError{Code: compat.RejectFull, Remote: true}), 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSearch(t, behaviors{"silent": silentTarget, "too": silentTarget, "last": c.last}, append(c.before, "last")...)
			s.node.stranger, s.targets.debts = true, make(map[types.ID]debt)
			s.targets.sessions, s.targets.making = true, &s.bridge.pairTimeout
			p := s.bridge.opened(t, InitiatorNative, s.node.id)
			if c.comes > 0 {
				time.AfterFunc(c.comes, func() { p.end(nil, compat.Reject(compat.RejectDuplicate, "%v", errReplaced)) })
			}
			making, stop := context.WithTimeout(p.ctx, pairTimeout)
			defer stop()
			_, _, err := s.find(making, p.ctx)
			require.Error(t, err, name)
			p.left = s.left
			s.bridge.slots.giveBack(p)
			s.bridge.wg.Wait()
			_, owes := s.targets.debts["last"]
			require.Equal(t, c.owes, owes, name)
		})
	}
}

// Pairs that were useful, or whose target shuts down, cost nothing when they end, however many do at
// once: nodes that come after a restart of the target are not held back.
func TestEndsThatTheTargetForgives(t *testing.T) {
	lost := errors.New("connection lost")
	for _, c := range []struct {
		lasts  time.Duration
		end    error
		spared bool
	}{
		{conduct.UsefulUptime / 2, lost, true},
		{conduct.UsefulUptime + pairTimeout, lost, false},
		{0, &lp2p.GoodbyeError{Code: compat.RejectFull}, true},
		{0, &lp2p.GoodbyeError{Code: compat.RejectClosing}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			b, err := New(*types.GenerateNodeKey(), Config{Libp2pPeers: []*types.NetAddress{dialable(1)}}, quiet())
			require.NoError(t, err)
			comes := func() *pair {
				p := b.newPair(InitiatorNative)
				p.id, p.stranger = types.GenerateNodeKey().ID(), true
				p.target = b.libp2pTargets.pick(p.dialer(), nil)

				return p
			}
			var pairs []*pair
			for range 50 {
				pairs = append(pairs, comes())
			}
			time.Sleep(c.lasts)
			for _, p := range pairs {
				p.end(p.dialed, fmt.Errorf("libp2p side: %w", c.end))
				p.release()
			}
			require.Equal(t, c.spared, comes().target == nil)
		})
	}
}

// A pair counts as another one once it must have been made, which takes as long as the bridge lets it.
func TestPairsInTheMakingAreNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(*types.GenerateNodeKey(), Config{Libp2pPeers: []*types.NetAddress{dialable(1)}}, quiet())
		require.NoError(t, err)
		b.pairTimeout = 3 * pairTimeout
		ts := b.libp2pTargets
		ends := func() (cost float64) {
			picked := ts.pick(dialer{id: types.GenerateNodeKey().ID(), stranger: true}, nil)
			clear(ts.debts)
			ts.release(picked, nodeLeftEarly)

			return ts.debts[picked.addr.ID].conns
		}
		ts.pick(dialer{id: "another"}, nil)
		time.Sleep(b.pairTimeout - time.Nanosecond)
		require.InDelta(t, lastCost, ends(), 1e-9)
		time.Sleep(time.Nanosecond)
		require.InDelta(t, sessionCost, ends(), 1e-9)
	})
}
