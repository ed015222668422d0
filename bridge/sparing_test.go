package bridge

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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

// dial is pick for a stranger. The target charges the bridge, and must not refuse it.
func (c *charging) dial() *target {
	picked := c.pick(dialer{id: types.GenerateNodeKey().ID(), stranger: true}, nil)
	if picked != nil {
		bridge := netgroup.Host(netgroup.FromIP(net.IPv4(5, 5, 5, 5)))
		require.Zero(c.t, c.book.Charge("", bridge, conduct.ConnPoints, conduct.ErrManyConns), "the target refuses the bridge")
	}

	return picked
}

// Strangers that come and go cost the bridge at most half of what a native target bears, and
// later no more than fades there, under however many IDs and from however many hosts, one after
// the other or at the same moment, whatever becomes of them. A known node always gets through.
func TestStrangersCostTheBridgeLittleAtANativeTarget(t *testing.T) {
	for _, atOnce := range []int{1, 30} {
		for _, o := range []outcome{declined, faulty, nodeLeftEarly, unknown} {
			synctest.Test(t, func(t *testing.T) {
				const span = 20 * time.Minute
				c, total := newCharging(t, dialable(1)), 0
				for begun := time.Now(); time.Since(begun) < span; time.Sleep(time.Second) {
					var wave []*target
					for len(wave) < atOnce {
						picked := c.dial()
						if picked == nil {
							break
						}
						wave = append(wave, picked)
					}
					for _, picked := range wave {
						c.release(picked, o)
					}
					total += len(wave)
				}
				require.LessOrEqual(t, total, spareBurst+int(span/spareEvery))
				require.Greater(t, total, int(span/spareEvery)/2, "strangers get in, too")
				for picked := c.dial(); picked != nil; picked = c.dial() {
					c.release(picked, o)
				}
				spared := func(t *target) bool { return t.barred == errSpared }
				require.True(t, slices.ContainsFunc(c.all(dialer{id: "s", stranger: true}), spared))
				require.NotNil(t, c.pick(dialer{id: "known"}, nil))
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
