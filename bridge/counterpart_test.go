package bridge

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// silentTarget is an attempt that hears nothing.
func silentTarget(ctx context.Context, _ types.NetAddress) (compat.PeerConn, error) {
	<-ctx.Done()

	return nil, ctx.Err()
}

// after is an attempt that succeeds, or fails with the error, after a time.
func after(d time.Duration, err error) func(context.Context, types.NetAddress) (compat.PeerConn, error) {
	return func(ctx context.Context, _ types.NetAddress) (compat.PeerConn, error) {
		if !task.Sleep(ctx, d) {
			return nil, ctx.Err()
		}

		return &farSide{}, err
	}
}

// searching finds a counterpart among targets that behave as told.
type searching struct {
	*search
	discarded int
}

func newSearch(t *testing.T, behave behaviors, names ...string) *searching {
	t.Helper()
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	s := &searching{}
	s.search = &search{
		bridge: b, node: the("node"), targets: targetsWithBook(t, idsOf(names...)...),
		try: func(ctx context.Context, addr types.NetAddress) (compat.PeerConn, error) {
			return behave[addr.ID.String()](ctx, addr)
		},
		discard: func(compat.PeerConn) { s.discarded++ },
	}

	return s
}

// run finds a counterpart in the time that there is for it.
func (s *searching) run(t *testing.T) (found string, took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pairTimeout)
	defer cancel()
	begun := time.Now()
	target, _, err := s.find(ctx, t.Context())
	took = time.Since(begun)
	s.bridge.wg.Wait()
	if err != nil {
		require.Nil(t, target)

		return "", took, err
	}
	s.targets.release(target, unknown)
	require.Empty(t, s.targets.inUse.list)

	return target.addr.ID.String(), took, nil
}

type behaviors = map[string]func(context.Context, types.NetAddress) (compat.PeerConn, error)

// A target that needs most of the time is found, alone or among others that do.
func TestDistantTargetIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSearch(t, behaviors{"far": after(2*time.Second, nil)}, "far")
		found, took, err := s.run(t)
		require.NoError(t, err)
		require.Equal(t, "far", found)
		require.Equal(t, 2*time.Second, took)

		s = newSearch(t, behaviors{
			"silent": silentTarget, "far": after(1400*time.Millisecond, nil), "dead": after(0, errors.New("refused")),
		}, "silent", "dead", "far")
		found, took, err = s.run(t)
		require.NoError(t, err)
		require.Equal(t, "far", found)
		require.Equal(t, patience+1400*time.Millisecond, took)
		found, took, err = s.run2(t)
		require.NoError(t, err)
		require.Equal(t, "far", found)
		require.Equal(t, 1400*time.Millisecond, took, "the others have failed")
	})
}

// run2 is run for another node.
func (s *searching) run2(t *testing.T) (found string, took time.Duration, err error) {
	t.Helper()
	s.search = &search{bridge: s.bridge, node: s.node, targets: s.targets, try: s.try, discard: s.discard}

	return s.run(t)
}

// Of two that answer the first is taken, and the other is given up in order.
func TestFirstAnswerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSearch(t, behaviors{"late": after(2400*time.Millisecond, nil), "quick": after(time.Millisecond, nil)}, "late", "quick")
		found, took, err := s.run(t)
		require.NoError(t, err)
		require.Equal(t, "quick", found)
		require.Equal(t, patience+time.Millisecond, took)
		require.Equal(t, 1, s.discarded)
		require.False(t, s.targets.records["late"].isTroubled(), "it has answered")
	})
}

func TestAllTargetsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		s := newSearch(t, behaviors{"a": after(0, refused), "b": silentTarget, "c": silentTarget}, "a", "b", "c")
		_, took, err := s.run(t)
		require.ErrorIs(t, err, errNoCounterpart)
		require.ErrorIs(t, err, refused)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, pairTimeout, took)
		for _, id := range []types.ID{"a", "b", "c"} { // c had its whole time, though the search was over before
			require.True(t, s.targets.records[id].isDown(), id)
		}

		_, took, err = newSearch(t, nil).run(t)
		require.ErrorIs(t, err, errNoTargets)
		require.Zero(t, took)
	})
}

// An attempt that does not end in time holds up nobody, but the bridge waits for it.
func TestAttemptThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := func(context.Context, types.NetAddress) (compat.PeerConn, error) {
			task.Sleep(t.Context(), time.Minute)

			return &farSide{}, nil
		}
		s := newSearch(t, behaviors{"deaf": deaf}, "deaf")
		ctx, cancel := context.WithTimeout(t.Context(), pairTimeout)
		defer cancel()
		begun := time.Now()
		_, _, err := s.find(ctx, t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, pairTimeout, time.Since(begun))
		s.bridge.wg.Wait()
		require.Equal(t, time.Minute, time.Since(begun))
		require.Equal(t, 1, s.discarded)
		require.Empty(t, s.targets.inUse.list)
	})
}

// When its pair is no longer wanted a search ends, and counts against no target.
func TestSearchEndsWithItsPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSearch(t, behaviors{"a": silentTarget, "b": silentTarget}, "a", "b")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(patience+time.Millisecond, cancel)
		_, _, err := s.find(ctx, ctx)
		require.ErrorIs(t, err, context.Canceled)
		s.bridge.wg.Wait()
		require.Empty(t, s.targets.inUse.list)
		for _, id := range []types.ID{"a", "b"} {
			require.False(t, s.targets.records[id].isDown())
		}
		_, _, err = s.find(ctx, ctx)
		require.ErrorIs(t, err, errNoCounterpart)
		s.bridge.wg.Wait()
	})
}

// searchWithStranger adds a learned target, nearby, to the configured ones.
func searchWithStranger(t *testing.T, behave behaviors, names ...string) (s *searching, stranger string) {
	t.Helper()
	addr := dialable(1)
	behave[addr.ID.String()] = after(50*time.Millisecond, nil)
	s = newSearch(t, behave, names...)
	s.targets.announce(*addr, nil)

	return s, addr.ID.String()
}

// A configured target is taken however far away it is, and is not blamed for that.
func TestStrangerDoesNotOutrunAConfiguredTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := searchWithStranger(t, behaviors{"far": after(2400*time.Millisecond, nil)}, "far")
		for range 3 {
			found, took, err := s.run2(t)
			require.NoError(t, err)
			require.Equal(t, "far", found)
			require.Equal(t, 2400*time.Millisecond, took)
		}
	})
}

// A configured target that says nothing costs one pair, then strangers are taken; it is
// tried again when its penalty is over, and waited for then.
func TestStrangerStandsInForASilentTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		behave := behaviors{"own": silentTarget}
		s, stranger := searchWithStranger(t, behave, "own")
		_, took, err := s.run2(t)
		require.ErrorIs(t, err, errNoCounterpart)
		require.Equal(t, pairTimeout, took)
		found, took, err := s.run2(t)
		require.NoError(t, err)
		require.Equal(t, stranger, found)
		require.Equal(t, 50*time.Millisecond, took)

		task.Sleep(t.Context(), failurePenalty)
		behave["own"] = after(1400*time.Millisecond, nil)
		found, _, err = s.run2(t)
		require.NoError(t, err)
		require.Equal(t, "own", found)
	})
}

// A configured target that refuses, or whose dial fails, does not delay the learned ones.
func TestStrangerFollowsAConfiguredTargetAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := &compat.RejectError{Code: compat.RejectIncompatible, Remote: true}
		for _, err := range []error{no, errors.New("connection refused")} {
			s, stranger := searchWithStranger(t, behaviors{"own": after(time.Millisecond, err)}, "own")
			found, took, err := s.run(t)
			require.NoError(t, err)
			require.Equal(t, stranger, found)
			require.Equal(t, 51*time.Millisecond, took)
		}
	})
}

// A configured target that was down, and loses to a learned one, is up when it answers late.
func TestConfiguredTargetThatLosesToAStrangerIsNotBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, first := searchWithStranger(t, behaviors{"own": after(1400*time.Millisecond, nil)}, "own")
		second := dialable(2)
		s.try = func(ctx context.Context, addr types.NetAddress) (compat.PeerConn, error) {
			switch addr.ID.String() {
			case "own":
				return after(1400*time.Millisecond, nil)(ctx, addr)
			case second.ID.String(): // the newer one is tried first
				return after(0, errors.New("connection refused"))(ctx, addr)
			default:
				return after(50*time.Millisecond, nil)(ctx, addr)
			}
		}
		task.Sleep(t.Context(), time.Second)
		s.targets.announce(*second, nil)
		s.targets.release(s.targets.pick(s.node, nil), unreachable)
		found, took, err := s.run(t)
		require.NoError(t, err)
		require.Equal(t, first, found)
		require.Equal(t, patience+50*time.Millisecond, took)
		require.Equal(t, 1, s.discarded)
		require.Zero(t, s.targets.records["own"].failures)
		require.False(t, s.targets.records["own"].isTroubled())
	})
}

// The node's next pair begins when nothing is left of the attempts of this one, but does
// not wait for one that does not end.
func TestPairWaitsForAttemptsThatWereNotNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, ends := range []time.Duration{loserTimeout / 2, time.Minute} {
			slow := func(ctx context.Context, _ types.NetAddress) (compat.PeerConn, error) {
				<-ctx.Done()
				task.Sleep(t.Context(), ends)

				return nil, ctx.Err()
			}
			s := newSearch(t, behaviors{"slow": slow, "quick": after(0, nil)}, "slow", "quick")
			b := s.bridge
			p := b.opened(t, InitiatorNative, "node")
			_, _, err := s.find(p.ctx, p.ctx)
			require.NoError(t, err)
			p.left = s.left
			p.end(nil, errReplaced)
			begun := time.Now()
			b.slots.giveBack(p)
			require.Equal(t, min(ends, loserTimeout), time.Since(begun))
			require.Empty(t, b.slots.held)
			b.wg.Wait()
		}
	})
}

// A node whose search has failed has its slot until the dials that still run have shown whether their
// targets are up, but not for longer than loserTimeout.
func TestFailedSearchLetsItsDialsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := func(ctx context.Context, _ types.NetAddress) (compat.PeerConn, error) {
			<-ctx.Done()
			task.Sleep(t.Context(), time.Minute)

			return nil, ctx.Err()
		}
		for late, wait := range map[string]time.Duration{"silent": loserTimeout, "far": 200 * time.Millisecond, "deaf": loserTimeout} {
			behave := behaviors{"first": silentTarget, "silent": silentTarget, "far": after(1700*time.Millisecond, nil), "deaf": deaf}
			s := newSearch(t, behave, "first", late)
			b := s.bridge
			p := b.opened(t, InitiatorNative, "node")
			making, stop := context.WithTimeout(p.ctx, pairTimeout)
			_, _, err := s.find(making, p.ctx)
			stop()
			require.ErrorIs(t, err, errNoCounterpart)
			p.left = s.left
			begun := time.Now()
			b.slots.giveBack(p)
			require.Equal(t, wait, time.Since(begun))
			require.True(t, isClosed(p.ctx.Done()))
			b.wg.Wait()
			require.Equal(t, 1, s.targets.records["first"].failures)
			require.Equal(t, late == "far", s.discarded == 1)
			require.False(t, s.targets.records["far"].isTroubled())
		}
	})
}

// Targets that take long to refuse a node do not keep it from another one: they take turns.
func TestLateRefusalsKeepNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		behave := make(behaviors)
		s := newSearch(t, behave)
		no := &compat.RejectError{Code: compat.RejectIncompatible, Remote: true}
		for i := range 4 {
			addr := dialable(i)
			behave[addr.ID.String()] = after(2470*time.Millisecond, no)
			if i == 0 { // the one that is tried last
				behave[addr.ID.String()] = after(50*time.Millisecond, nil)
			}
			s.targets.announce(*addr, nil)
			task.Sleep(t.Context(), time.Second)
		}
		_, _, err := s.run2(t)
		require.ErrorIs(t, err, no)
		for range 3 {
			_, took, err := s.run2(t)
			require.NoError(t, err)
			require.Equal(t, 50*time.Millisecond, took)
		}
	})
}

// A node fits no target if each says so. It may fit one that was not asked, since another pair has its
// slot there.
func TestNodeThatMayFitAnotherTarget(t *testing.T) {
	incompatible := compat.Reject(compat.RejectIncompatible, "another network")
	for _, taken := range []bool{false, true} {
		s := newSearch(t, nil, "a", "b")
		s.tried, s.errs = []*target{{addr: *idsOf("a")[0]}}, []error{incompatible}
		if taken {
			other := dialer{id: s.node.id, at: "its other identity"}
			s.targets.inUse.list[&target{side: s.targets, addr: *idsOf("b")[0]}] = other
		}
		m, ok := errors.AsType[*missed](s.failure(t.Context()))
		require.True(t, ok)
		require.Equal(t, !taken, m.unfit)
	}
}
