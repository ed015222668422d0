//go:build linux

package chain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/clock"
)

// Sync describes a node that joins and gets the blocks of another one.
type Sync struct {
	// Stack names the stack of both nodes in package cluster.
	Stack string
	// Box is the network. Its number of places is ignored.
	Box box.Config
	// Blocks is how many blocks there are, and BlockBytes the size of the transactions of each.
	Blocks     int64
	BlockBytes int
	// Rate is the send and receive rate of both nodes, in bytes per second; 0 is gno's default.
	Rate int64
	// Patience is how long the joiner may take.
	Patience time.Duration
}

// Synced is what a run of Sync has measured, from the joiner's first peer to its last block. The
// blocks that it asks for at first may arrive before the one that it needs next.
type Synced struct {
	Blocks, Bytes int64
	Took          time.Duration
	Late          time.Duration // of the router
}

// Void reports whether the router was too late for the figures to mean anything.
func (s Synced) Void() bool { return s.Late > box.LateLimit }

// Rate returns the bytes of blocks a second.
func (s Synced) Rate() float64 { return float64(s.Bytes) / s.Took.Seconds() }

// PerSecond returns the blocks a second.
func (s Synced) PerSecond() float64 { return float64(s.Blocks) / s.Took.Seconds() }

// MeasureSync makes the box, a node with blocks at place 0, and one that joins at place 1.
func MeasureSync(ctx context.Context, run Sync) (result Synced, err error) {
	if run.Blocks < 3 {
		return result, fmt.Errorf("sync: at least 3 blocks are needed, not %d", run.Blocks)
	}
	run.Box.Places = 2
	n, err := newNetwork(run.Box)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	server, err := n.add(run.Stack, true, nodeSpec{Rate: run.Rate, BlockBytes: run.BlockBytes, History: run.Blocks})
	if err != nil {
		return result, err
	}
	joiner, err := n.add(run.Stack, false, nodeSpec{Rate: run.Rate, FastSync: true})
	if err != nil {
		return result, err
	}
	n.link()
	ctx, cancel := context.WithTimeoutCause(ctx, run.Patience, fmt.Errorf("not within %v", run.Patience))
	defer cancel()
	if err := n.start(server); err != nil {
		return result, err
	}
	if err := n.await(ctx, "history", nil, func() bool { return server.started }); err != nil {
		return result, err
	}
	if err := n.start(joiner); err != nil {
		return result, err
	}
	if err := n.await(ctx, "peer", nil, func() bool { return joiner.peers > 0 }); err != nil {
		return result, err
	}
	begun := clock.Now()
	n.box.Late()
	// The last block is not synced: the next one would have the votes for it.
	if err := n.await(ctx, "sync", nil, func() bool { return joiner.height() >= run.Blocks-1 }); err != nil {
		return result, err
	}
	blocks := joiner.committed
	result.Late = n.box.Late()
	result.Blocks = int64(len(blocks))
	result.Took = blocks[len(blocks)-1].At - begun
	for _, b := range blocks {
		result.Bytes += int64(b.Bytes)
	}

	return result, nil
}
