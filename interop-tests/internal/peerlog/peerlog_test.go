package peerlog_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAwaitReturnsTheFirstInOrder(t *testing.T) {
	log := peerlog.New("peer")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			log.Append(protocol.Event{Event: protocol.EventReceived, Peer: "a", Channel: byte(i % 2), Length: i})
		}
	}()
	got := log.AwaitReceived(t, "a", 1, 50)
	<-done
	for i, digest := range got {
		require.Equal(t, 2*i+1, digest.Length)
	}
}

func TestAwaitUpCounts(t *testing.T) {
	log := peerlog.New("peer")
	for i := range 2 {
		log.Append(protocol.Event{Event: protocol.EventPeerUp, Peer: "a", Outbound: i == 1, NodeInfo: &protocol.NodeInfo{Moniker: "m"}})
		log.Append(protocol.Event{Event: protocol.EventPeerUp, Peer: "b", NodeInfo: &protocol.NodeInfo{}})
	}
	require.False(t, log.AwaitUp(t, "a", 1).Outbound)
	require.True(t, log.AwaitUp(t, "a", 2).Outbound)
	require.True(t, log.AwaitUpAs(t, "m", 2).Outbound)
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := peerlog.New("peer")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		atLeast := func(n int) func([]protocol.Event) bool {
			return func(events []protocol.Event) bool { return len(events) >= n }
		}
		until := func(ctx context.Context, n int) <-chan bool {
			held := make(chan bool, 1)
			go func() { held <- log.Until(ctx, atLeast(n)) }()
			synctest.Wait()

			return held
		}
		second, third, fourth := until(t.Context(), 2), until(ctx, 3), until(t.Context(), 4)
		log.Append(protocol.Event{})
		log.Append(protocol.Event{})
		require.True(t, <-second)
		cancel()
		require.False(t, <-third, "the context has ended")
		log.End(errors.New("gone"))
		require.False(t, <-fourth, "no event will follow")
		require.True(t, log.Until(ctx, atLeast(2)), "it holds already")
	})
}

func TestAwaitFails(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*peerlog.Log)
		says    string
	}{
		"when the peer has ended":    {func(l *peerlog.Log) { l.End(errors.New("gone")) }, "gone"},
		"when the peer has an error": {func(l *peerlog.Log) { l.Append(protocol.Event{Event: protocol.EventError, Reason: "bad"}) }, "bad"},
		"in the end":                 {func(*peerlog.Log) {}, context.DeadlineExceeded.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, tb := peerlog.New("peer"), &failing{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					log.AwaitDown(tb, "a", 1)
				}()
				synctest.Wait()
				require.Empty(t, tb.failure)
				c.happens(log)
				<-done
				require.Contains(t, tb.failure, "0 of 1")
				require.Contains(t, tb.failure, c.says)
			})
		})
	}
}

// failing keeps the failure instead of failing.
type failing struct {
	testing.TB

	failure string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
