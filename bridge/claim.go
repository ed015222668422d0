package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var (
	errReplaced = errors.New("the node has opened another pair")
	errFormer   = errors.New("the former pair of the node has not ended yet")
)

// claim is a node on one of the sides.
type claim struct {
	initiator string
	id        types.ID
}

// claim makes the pair the only one that the node has opened. A former one is
// ended first: the node would not open another if it still had that. A pair that is
// older than the one that has the claim gives way.
func (b *Bridge) claim(ctx context.Context, p *pair, id types.ID) error {
	key := claim{p.initiator, id}
	for {
		other := b.tryClaim(key, p)
		if other == nil {
			return nil
		}
		if other.since.After(p.since) {
			return errReplaced
		}
		other.end(nil, compat.Reject(compat.RejectDuplicate, "%v", errReplaced))
		select {
		case <-other.gone:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errFormer, ctx.Err())
		}
	}
}

func (b *Bridge) tryClaim(key claim, p *pair) (other *pair) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	if other := b.claims[key]; other != nil {
		return other
	}
	b.claims[key] = p

	return nil
}

// disclaim lets the node open another pair, once nothing is left of this one.
func (b *Bridge) disclaim(p *pair, id types.ID) {
	b.awaitLosers(p)
	b.mtx.Lock()
	delete(b.claims, claim{p.initiator, id})
	b.mtx.Unlock()
	close(p.gone)
}

// awaitLosers waits for attempts that were not needed, up to loserTimeout: a target that
// still has the connection of one would take the node's next one for a second.
func (b *Bridge) awaitLosers(p *pair) {
	if p.left == nil {
		return
	}
	timer := time.NewTimer(loserTimeout)
	defer timer.Stop()
	select {
	case <-p.left:
	case <-timer.C:
	case <-b.ctx.Done():
	}
}
