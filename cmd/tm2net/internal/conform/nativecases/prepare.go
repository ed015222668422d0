package nativecases

import (
	"context"
	"fmt"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
)

// discoveryCapacity is the receive capacity of the discovery channel, in bytes (docs/wire.md §7).
const discoveryCapacity = 5242880

// Prepare finds out about the target what the cases need: whether it accepts a well-formed peer
// at all, two of them from one machine, and whether it answers discovery.
func Prepare(ctx context.Context, t *conform.Target) error {
	SetChannel(t)
	first, err := connect(ctx, t)
	if err != nil {
		return fmt.Errorf("%w: %w", conform.ErrNotHonest, err)
	}
	defer first.Close()
	second, err := connect(ctx, t)
	if err != nil {
		t.OneConn = true

		return ctx.Err()
	}
	second.Close()
	first.Close()
	t.Answers = needsDiscovery(t) == "" && Answers(ctx, t)

	return ctx.Err()
}

// SetChannel makes the discovery channel the one for junk, if the node has it and no other is set.
func SetChannel(t *conform.Target) {
	if !t.HasChannel && slices.Contains(t.Info.Channels, discoveryChannel) {
		t.Channel, t.Capacity, t.HasChannel = discoveryChannel, discoveryCapacity, true
	}
}
