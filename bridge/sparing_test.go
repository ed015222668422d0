package bridge

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// Strangers that come and go cost the bridge at most half of what a native target bears, and
// later no more than fades there, under however many IDs and from however many hosts. A known
// node always gets through.
func TestStrangersCostTheBridgeLittleAtANativeTarget(t *testing.T) {
	for _, o := range []outcome{declined, faulty, nodeLeftEarly, unknown} {
		synctest.Test(t, func(t *testing.T) {
			own := dialable(1)
			ts := newTargets([]*types.NetAddress{own}, nil, &inUse{list: make(map[*target]dialer)})
			ts.spent = make(map[types.ID]*rate.Limiter)
			book, bridge := conduct.New(), netgroup.Host(netgroup.FromIP(net.IPv4(5, 5, 5, 5)))
			stranger := func() dialer { return dialer{id: types.GenerateNodeKey().ID(), stranger: true} }
			begun := time.Now()
			for time.Since(begun) < time.Hour {
				if target := ts.pick(stranger(), nil); target != nil {
					require.Zero(t, book.Charge("", bridge, conduct.ConnPoints, conduct.ErrManyConns), "the target refuses the bridge")
					ts.release(target, o)
				}
				time.Sleep(time.Second)
			}
			for ts.pick(stranger(), nil) != nil {
				ts.release(ts.pick(stranger(), nil), o)
			}
			require.NotZero(t, ts.count(stranger(), func(t *target) bool { return t.spared }))
			require.NotNil(t, ts.pick(dialer{id: "known"}, nil))
		})
	}
}

// Strangers that come at the same moment, again and again, cost no more in the long run than those
// that come one after the other.
func TestStrangersThatComeAtOncePayItBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTargets([]*types.NetAddress{dialable(1)}, nil, &inUse{list: make(map[*target]dialer)})
		ts.spent = make(map[types.ID]*rate.Limiter)
		const atOnce, span = 8, time.Hour
		cost := 0
		for begun := time.Now(); time.Since(begun) < span; time.Sleep(spareEvery) {
			var wave []*target
			for range atOnce {
				if target := ts.pick(dialer{id: types.GenerateNodeKey().ID(), stranger: true}, nil); target != nil {
					wave = append(wave, target)
				}
			}
			for _, target := range wave {
				ts.release(target, declined)
			}
			cost += len(wave)
		}
		require.LessOrEqual(t, cost, spareBurst+int(span/spareEvery)+atOnce)
	})
}

// Pairs that last cost nothing, nor do targets that cannot be reached, or on this machine.
func TestUsefulPairsAreNotHeldBack(t *testing.T) {
	local := dialable(1)
	local.IP = net.IPv4(127, 0, 0, 1)
	for _, c := range []struct {
		at *types.NetAddress
		o  outcome
	}{{dialable(1), kept}, {dialable(1), nodeLeft}, {dialable(1), unreachable}, {local, declined}} {
		ts := newTargets([]*types.NetAddress{c.at}, nil, &inUse{list: make(map[*target]dialer)})
		ts.spent = make(map[types.ID]*rate.Limiter)
		for range 4 * spareBurst {
			target := ts.pick(dialer{id: "stranger", stranger: true}, nil)
			require.NotNil(t, target)
			ts.release(target, c.o)
		}
	}
}
