package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
)

// leakPatience is how long awaitNoLeaks waits for the goroutines of stopped nodes.
const leakPatience = time.Minute

// awaitNoLeaks waits until only goroutines that the options name are left.
func awaitNoLeaks(options ...goleak.Option) error {
	ctx, cancel := context.WithTimeout(context.Background(), leakPatience)
	defer cancel()
	for {
		err := goleak.Find(options...)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("goroutines are left: %w", err)
		}
	}
}

// leavingNothing returns a role that also fails when goroutines are left after role has
// returned nil.
func leavingNothing(role child.Role) child.Role {
	return func(ctx context.Context, spec json.RawMessage, say func(string)) error {
		others := goleak.IgnoreCurrent()
		if err := role(ctx, spec, say); err != nil {
			return err
		}

		return awaitNoLeaks(others)
	}
}
