package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
)

// leakPatience is how long the goroutines of stopped nodes may take to end.
const leakPatience = 20 * time.Second

// awaitNoLeaks waits until no goroutines are left but those that the options name.
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

// leavingNothing is a role that fails if goroutines are left when it has ended well.
func leavingNothing(role child.Role) child.Role {
	return func(ctx context.Context, spec json.RawMessage, say func(string)) error {
		others := goleak.IgnoreCurrent()
		if err := role(ctx, spec, say); err != nil {
			return err
		}

		return awaitNoLeaks(others)
	}
}
