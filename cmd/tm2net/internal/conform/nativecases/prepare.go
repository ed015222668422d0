package nativecases

import (
	"context"
	"fmt"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
)

// discoveryCapacity is the receive capacity of the discovery channel, in bytes (docs/wire.md §7).
const discoveryCapacity = 5242880

// attempts is how often the target is tried for what decides which cases are played. A node that is busy for
// a moment must not be judged by fewer.
const attempts = 2

// Prepare finds out about the target what the cases need: whether it accepts a well-formed peer
// at all, two of them from one machine, and whether it answers discovery.
func Prepare(ctx context.Context, t *conform.Target) error {
	SetChannel(t)
	first, err := connect(ctx, t)
	if err != nil {
		return fmt.Errorf("%w: %w", conform.ErrNotHonest, err)
	}
	defer first.Close()
	if t.OneConn, err = letsInOne(ctx, t, first); t.OneConn || err != nil {
		return err
	}
	first.Close()
	for i := 0; i < attempts && !t.Answers && needsDiscovery(t) == ""; i++ {
		t.Answers = Answers(ctx, t)
	}

	return ctx.Err()
}

// letsInOne reports whether the node lets in one peer of an IP: it ends the connection of a second one, which
// comes from the IP of the first. An error means that a second peer is not let in for another reason.
func letsInOne(ctx context.Context, t *conform.Target, first *session) (one bool, err error) {
	for range attempts {
		var s *session
		if s, err = open(ctx, t); err != nil {
			one = false

			continue
		}
		err = s.shakeHands(s.info())
		one = s.Ended() && host(s) == host(first)
		s.Close()
		if err == nil {
			return false, nil
		}
	}
	if one && ctx.Err() == nil {
		return true, nil
	}

	return false, fmt.Errorf("%w beside another one: %w", conform.ErrNotHonest, err)
}

// SetChannel makes the discovery channel the one for junk, if the node has it and no other is set.
func SetChannel(t *conform.Target) {
	if !t.HasChannel && slices.Contains(t.Info.Channels, discoveryChannel) {
		t.Channel, t.Capacity, t.HasChannel = discoveryChannel, discoveryCapacity, true
	}
}
