package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

var (
	errReplaced = errors.New("the node has opened another pair")
	errFormer   = errors.New("the former pair of the node has not ended yet")
)

// claim is a node that dials the bridge on one of the sides.
type claim struct {
	initiator string
	id        types.ID
}

// claim makes the pair the only one that the node has opened. An older one is ended
// first, because the node would not open another if it still had that. For a newer one
// this pair gives way.
func (b *Bridge) claim(ctx context.Context, p *pair, id types.ID) error {
	key := claim{p.initiator, id}
	for {
		b.mtx.Lock()
		other := b.claims[key]
		if other == nil {
			b.claims[key] = p
		}
		b.mtx.Unlock()
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

// disclaim lets the node open another pair, once nothing is left of this one.
func (b *Bridge) disclaim(p *pair, id types.ID) {
	if p.left != nil {
		task.WaitFor(p.left, loserTimeout)
	}
	b.mtx.Lock()
	delete(b.claims, claim{p.initiator, id})
	b.mtx.Unlock()
	close(p.gone)
}
