// Package peerlog keeps the events of a peer in order. Tests can wait for events without
// polling.
package peerlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// Patience is how long a test waits for an event before it fails.
const Patience = 2 * time.Minute

// Log holds the events of one peer in order. All methods may be called concurrently.
type Log struct {
	name string

	mtx    sync.Mutex
	events []protocol.Event
	more   chan struct{} // closed and replaced when an event is added
	ended  error         // the reason why no event will follow
}

// New returns an empty log of the named peer.
func New(name string) *Log { return &Log{name: name, more: make(chan struct{})} }

// Name returns the peer's name for failure messages.
func (l *Log) Name() string { return l.name }

// Append adds an event.
func (l *Log) Append(e protocol.Event) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	l.events = append(l.events, e)
	l.wake()
}

// End ends the log, so that waiting tests fail with the reason.
func (l *Log) End(reason error) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	if l.ended == nil {
		l.ended = reason
		l.wake()
	}
}

func (l *Log) wake() {
	close(l.more)
	l.more = make(chan struct{})
}

// Events returns the matching events so far, in a new slice.
func (l *Log) Events(match func(protocol.Event) bool) []protocol.Event {
	events, _, _ := l.snapshot()

	return slices.DeleteFunc(slices.Clone(events), func(e protocol.Event) bool { return !match(e) })
}

// snapshot returns the events so far, which do not change, and a channel that is closed when
// more are added.
func (l *Log) snapshot() ([]protocol.Event, <-chan struct{}, error) {
	l.mtx.Lock()
	defer l.mtx.Unlock()

	return slices.Clip(l.events), l.more, l.ended
}

// Await waits until n events match and returns the first n. It fails the test after
// Patience, when the log ends, or when the peer reports an error.
func (l *Log) Await(t testing.TB, what string, n int, match func(protocol.Event) bool) []protocol.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()

	var found []protocol.Event
	for seen := 0; ; {
		events, more, ended := l.snapshot()
		for _, e := range events[seen:] {
			if match(e) {
				found = append(found, e)
			}
			if len(found) == n {
				return found
			}
			if e.Event == protocol.EventError {
				l.fail(t, what, n, len(found), errors.New(e.Reason))
			}
		}
		seen = len(events)
		if ended != nil {
			l.fail(t, what, n, len(found), ended)
		}

		select {
		case <-more:
		case <-ctx.Done():
			l.fail(t, what, n, len(found), ctx.Err())
		}
	}
}

// Until waits until done holds for all events so far, and reports whether it does. It gives up
// when ctx ends or the log ends.
func (l *Log) Until(ctx context.Context, done func([]protocol.Event) bool) bool {
	for {
		events, more, ended := l.snapshot()
		if done(events) {
			return true
		}
		if ended != nil {
			return false
		}
		select {
		case <-more:
		case <-ctx.Done():
			return false
		}
	}
}

func (l *Log) fail(t testing.TB, what string, want, have int, cause error) {
	t.Helper()
	events, _, _ := l.snapshot()
	var b strings.Builder
	for _, e := range events[max(0, len(events)-tailEvents):] {
		fmt.Fprintf(&b, "\n\t%+v", e)
	}
	t.Fatalf("%s: %s: %d of %d: %v; last events:%s", l.name, what, have, want, cause, b.String())
}

// tailEvents is how many events a failure message shows.
const tailEvents = 20

// AwaitUp waits until the peer with the ID has connected n times.
func (l *Log) AwaitUp(t testing.TB, id string, n int) protocol.Event {
	t.Helper()

	return l.awaitPeer(t, protocol.EventPeerUp, id, n)
}

// AwaitDown waits until the peer with the ID has disconnected n times.
func (l *Log) AwaitDown(t testing.TB, id string, n int) protocol.Event {
	t.Helper()

	return l.awaitPeer(t, protocol.EventPeerDown, id, n)
}

func (l *Log) awaitPeer(t testing.TB, kind, id string, n int) protocol.Event {
	t.Helper()
	events := l.Await(t, kind+" "+id, n, func(e protocol.Event) bool { return e.Event == kind && e.Peer == id })

	return events[n-1]
}

// AwaitUpAs waits until a peer with the moniker has connected n times. Behind a bridge, a
// peer has an ID that only the bridge knows.
func (l *Log) AwaitUpAs(t testing.TB, moniker string, n int) protocol.Event {
	t.Helper()
	events := l.Await(t, protocol.EventPeerUp+" "+moniker, n, func(e protocol.Event) bool {
		return e.Event == protocol.EventPeerUp && e.NodeInfo.Moniker == moniker
	})

	return events[n-1]
}

// AwaitReceived waits for the first n messages from a peer on a channel and returns their
// digests.
func (l *Log) AwaitReceived(t testing.TB, id string, channel byte, n int) []protocol.Digest {
	t.Helper()
	what := fmt.Sprintf("messages of %s on %#02x", id, channel)
	events := l.Await(t, what, n, func(e protocol.Event) bool {
		return e.Event == protocol.EventReceived && e.Peer == id && e.Channel == channel
	})
	digests := make([]protocol.Digest, 0, n)
	for _, e := range events {
		digests = append(digests, protocol.Digest{Length: e.Length, SHA256: e.SHA256})
	}

	return digests
}

// AwaitText waits for an event of the kind whose reason contains all the parts.
func (l *Log) AwaitText(t testing.TB, kind string, parts ...string) protocol.Event {
	t.Helper()
	events := l.Await(t, fmt.Sprintf("%s with %q", kind, parts), 1, func(e protocol.Event) bool {
		return e.Event == kind && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(e.Reason, p) })
	})

	return events[0]
}
