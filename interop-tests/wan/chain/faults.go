//go:build linux

package chain

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/clock"
)

// cut cuts the nodes into two parts for a time. It returns how long after that every node has
// two more blocks and all its peers.
func (c *consensus) cut(ctx context.Context, during, patience time.Duration) (time.Duration, error) {
	before := make(map[[2]int]box.Path)
	half := len(c.nodes) / 2
	for from := range c.box.Places() {
		for to := range c.box.Places() {
			if (from < half) != (to < half) {
				before[[2]int{from, to}] = c.box.Path(from, to)
			}
		}
	}
	set := func(down bool) error {
		var errs []error
		for link, p := range before {
			p.Down = down
			errs = append(errs, c.box.SetPath(link[0], link[1], p))
		}

		return errors.Join(errs...)
	}
	if err := set(true); err != nil {
		return 0, err
	}
	if err := c.watch(ctx, during, c.seen); err != nil {
		return 0, err
	}
	if err := set(false); err != nil {
		return 0, err
	}

	return c.asBefore(ctx, "after the cut", patience, c.connected)
}

// errNotWithin is wrapped by the error of asBefore when patience is over.
var errNotWithin = errors.New("not within")

// asBefore waits until every node has two more blocks and the condition holds, and returns how
// long that took.
func (c *consensus) asBefore(ctx context.Context, what string, patience time.Duration, also func() bool) (time.Duration, error) {
	begun, target := clock.Now(), c.top()+2
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w %v", errNotWithin, patience))
	defer cancel()
	err := c.await(ctx, what, c.seen, func() bool { return c.reached(target) && also() })

	return clock.Now() - begun, err
}

// movedTo is the address of a place that has moved, in a network that no other place is in.
var movedTo = netip.AddrFrom4([4]byte{10, 200, 0, 1})

// move gives the last node, which dials all others, another address. Connections that migrate live
// on; others are dead, though neither end may know yet.
func (c *consensus) move(ctx context.Context, migrates bool, patience time.Duration) (time.Duration, error) {
	m := c.nodes[len(c.nodes)-1]
	lost := m.lost
	if err := c.box.Move(m.index, movedTo); err != nil {
		return 0, err
	}

	return c.asBefore(ctx, "after the move", patience, func() bool {
		return c.connected() && (c.bridge != nil || migrates || m.lost-lost >= c.peersOf(m))
	})
}
