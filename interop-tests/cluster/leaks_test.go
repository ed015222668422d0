package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRolesThatLeaveNothing(t *testing.T) {
	quiet := leavingNothing(func(_ context.Context, spec json.RawMessage, say func(string)) error {
		say(string(spec))

		return nil
	})
	var said string
	require.NoError(t, quiet(t.Context(), json.RawMessage("spec"), func(line string) { said = line }))
	require.Equal(t, "spec", said)

	cause := errors.New("failed")
	failing := leavingNothing(func(context.Context, json.RawMessage, func(string)) error { return cause })
	require.ErrorIs(t, failing(t.Context(), nil, nil), cause)
}

// TestRoleThatLeavesAGoroutine checks that a role waits for a goroutine that is left, and
// fails if it does not end.
func TestRoleThatLeavesAGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		leaving := leavingNothing(func(context.Context, json.RawMessage, func(string)) error {
			go func() { <-ended }()

			return nil
		})
		begun := time.Now()
		require.ErrorContains(t, leaving(t.Context(), nil, nil), "goroutines are left")
		require.GreaterOrEqual(t, time.Since(begun), leakPatience)
		close(ended)
	})
}
