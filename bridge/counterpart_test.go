package bridge

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// silentTarget is an attempt that hears nothing.
func silentTarget(ctx context.Context, _ *target) (made, error) {
	<-ctx.Done()

	return made{}, ctx.Err()
}

// after is an attempt that succeeds, or fails with the error, after a time.
func after(d time.Duration, err error) func(context.Context, *target) (made, error) {
	return func(ctx context.Context, t *target) (made, error) {
		if !wait(ctx, d) {
			return made{}, ctx.Err()
		}

		return made{peer: &farSide{}}, err
	}
}

// searching finds a counterpart among targets that behave as told.
type searching struct {
	*search
	discarded int
}

func newSearch(t *testing.T, behave map[string]func(context.Context, *target) (made, error), names ...string) *searching {
	t.Helper()
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	s := &searching{}
	s.search = &search{
		bridge: b, node: "node", targets: newTargets(idsOf(names...), newLinks()),
		try:     func(ctx context.Context, t *target) (made, error) { return behave[t.addr.ID.String()](ctx, t) },
		discard: func(made) { s.discarded++ },
	}

	return s
}

// run finds a counterpart in the time that there is for it.
func (s *searching) run(t *testing.T) (found string, took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pairTimeout)
	defer cancel()
	begun := time.Now()
	target, _, err := s.find(ctx)
	took = time.Since(begun)
	s.bridge.wg.Wait()
	if err != nil {
		require.Nil(t, target)

		return "", took, err
	}
	s.targets.release(s.node, target, neutral)
	require.Empty(t, s.targets.links.pairs)
	for _, target := range s.targets.list {
		require.Zero(t, target.pairs, target.addr.ID)
	}

	return target.addr.ID.String(), took, nil
}

type behaviors = map[string]func(context.Context, *target) (made, error)

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
	again := *s.search
	again.tried, again.errs = nil, nil
	s.search = &again

	return s.run(t)
}

// Of two that answer the first is taken, and the other is given up in order.
func TestFirstAnswerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := func(ctx context.Context, t *target) (made, error) {
			<-ctx.Done() // the connection is made at that very moment

			return made{peer: &farSide{}}, nil
		}
		s := newSearch(t, behaviors{"late": both, "quick": after(time.Millisecond, nil)}, "late", "quick")
		found, took, err := s.run(t)
		require.NoError(t, err)
		require.Equal(t, "quick", found)
		require.Equal(t, patience+time.Millisecond, took)
		require.Equal(t, 1, s.discarded)
		require.False(t, s.targets.list[0].isDown(time.Now()), "it has answered")
	})
}

func TestAllTargetsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		s := newSearch(t, behaviors{"a": after(0, refused), "b": silentTarget}, "a", "b")
		_, took, err := s.run(t)
		require.ErrorIs(t, err, errNoCounterpart)
		require.ErrorIs(t, err, refused)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, pairTimeout, took)
		for _, target := range s.targets.list {
			require.True(t, target.isDown(time.Now()), target.addr.ID)
		}

		_, took, err = newSearch(t, nil).run(t)
		require.ErrorIs(t, err, errNoTargets)
		require.Zero(t, took)
	})
}

// An attempt that does not end in time holds up nobody, but the bridge waits for it.
func TestAttemptThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := func(context.Context, *target) (made, error) {
			wait(t.Context(), time.Minute)

			return made{peer: &farSide{}}, nil
		}
		s := newSearch(t, behaviors{"deaf": deaf}, "deaf")
		ctx, cancel := context.WithTimeout(t.Context(), pairTimeout)
		defer cancel()
		begun := time.Now()
		_, _, err := s.find(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, pairTimeout, time.Since(begun))
		s.bridge.wg.Wait()
		require.Equal(t, time.Minute, time.Since(begun))
		require.Equal(t, 1, s.discarded)
		require.Zero(t, s.targets.list[0].pairs)
	})
}

// A pair that is not wanted any more blames nobody and leaves nothing.
func TestSearchEndsWithItsPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSearch(t, behaviors{"a": silentTarget, "b": silentTarget}, "a", "b")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(patience+time.Millisecond, cancel)
		_, _, err := s.find(ctx)
		require.ErrorIs(t, err, context.Canceled)
		s.bridge.wg.Wait()
		for _, target := range s.targets.list {
			require.Zero(t, target.pairs)
			require.False(t, target.isDown(time.Now()))
		}
		_, _, err = s.find(ctx)
		require.ErrorIs(t, err, errNoCounterpart)
		s.bridge.wg.Wait()
	})
}
