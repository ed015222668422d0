package bridge

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// Two bridges with one key present a node to one target: the second one says what is wrong.
func TestCopyOfTheKeyIsSaid(t *testing.T) {
	target, key, nodeKey := newNode(t, InitiatorLibp2p), types.GenerateNodeKey(), types.GenerateNodeKey()
	start := func(log *stacktest.Log) *Bridge {
		b, err := New(*key, Config{
			NativeListen: loopback(), Libp2pListen: loopback(), Libp2pPeers: addresses(target), OnlyConfigured: true, AllowDuplicateIP: true,
		}, slog.New(slog.NewTextHandler(log, nil)))
		require.NoError(t, err)
		b.patient()
		require.NoError(t, b.Start())
		b.journal.mtx.Lock()
		b.journal.started = time.Now().Add(-time.Hour)
		b.journal.mtx.Unlock()
		t.Cleanup(func() { require.NoError(t, b.Stop()) })

		return b
	}
	first, log := start(new(stacktest.Log)), new(stacktest.Log)
	newNodeOf(t, InitiatorNative, nodeKey).join(t, first.NativeAddress())
	second := start(log)
	again := newNodeOf(t, InitiatorNative, nodeKey)
	failed, done := again.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	again.dial(second.NativeAddress())
	require.Eventually(t, func() bool {
		select {
		case <-failed: // the target may not have answered before that
			again.dial(second.NativeAddress())
		default:
		}

		return log.Count("copy of this bridge's node key") > 0
	}, testTimeout, time.Millisecond)
}

// A target that keeps a session of a node which this bridge has not had for long shows another
// bridge with the same key. A ghost, or another refusal, does not.
func TestCopyOfTheKeyIsNoticed(t *testing.T) {
	duplicate := compat.Reject(compat.RejectDuplicate, "connected already")
	target, learned := loopback(), types.GenerateNodeKey().ID()
	target.ID, target.Port = types.GenerateNodeKey().ID(), 1
	for name, c := range map[string]struct {
		err     error
		target  types.ID
		running time.Duration
		ended   time.Duration // how long ago a pair of the node ended; 0 for none
		noticed bool
	}{
		"another bridge":           {duplicate, target.ID, time.Hour, 0, true},
		"a pair of an hour before": {duplicate, target.ID, 2 * time.Hour, time.Hour, true},
		"a pair just before":       {duplicate, target.ID, time.Hour, time.Minute, false},
		"the former process":       {duplicate, target.ID, time.Minute, 0, false},
		"a stranger's word":        {duplicate, learned, time.Hour, 0, false},
		"another refusal":          {compat.Reject(compat.RejectFull, ""), target.ID, time.Hour, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			b, err := New(*types.GenerateNodeKey(), Config{Libp2pPeers: []*types.NetAddress{&target}}, slog.New(slog.NewTextHandler(&log, nil)))
			require.NoError(t, err)
			b.journal.started = time.Now().Add(-c.running)
			p := b.newPair(InitiatorNative)
			p.id = "node"
			if c.ended > 0 {
				b.journal.note(Event{Kind: EventPairEnded, NativeID: p.id, Time: time.Now().Add(-c.ended)})
			}
			defer b.refused.Close()
			for range 2 {
				b.noteCopy(p, c.target, c.err)
			}
			times := bytes.Count(log.Bytes(), []byte("copy of this bridge's node key"))
			require.Equal(t, c.noticed, times == 1, times)
		})
	}
}
