package bridge

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A target that keeps a session of a node which this bridge has not had for long shows another
// bridge with the same key. A ghost, or another refusal, does not.
func TestCopyOfTheKeyIsNoticed(t *testing.T) {
	duplicate := []error{errBadMessage, compat.Reject(compat.RejectDuplicate, "connected already")}
	for name, c := range map[string]struct {
		errs    []error
		running time.Duration
		ended   time.Duration // how long ago a pair of the node ended; 0 for none
		noticed bool
	}{
		"another bridge":           {duplicate, time.Hour, 0, true},
		"a pair of an hour before": {duplicate, 2 * time.Hour, time.Hour, true},
		"a pair just before":       {duplicate, time.Hour, time.Minute, false},
		"the former process":       {duplicate, time.Minute, 0, false},
		"another refusal":          {[]error{compat.Reject(compat.RejectFull, "")}, time.Hour, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			b, err := New(*types.GenerateNodeKey(), Config{}, slog.New(slog.NewTextHandler(&log, nil)))
			require.NoError(t, err)
			b.journal.started = time.Now().Add(-c.running)
			p := b.newPair(InitiatorNative)
			p.id = "node"
			if c.ended > 0 {
				b.journal.note(Event{Kind: EventPairEnded, NativeID: p.id, Time: time.Now().Add(-c.ended)})
			}
			b.noteCopy(p, c.errs)
			require.Equal(t, c.noticed, bytes.Contains(log.Bytes(), []byte("copy of this bridge's node key")))
		})
	}
}
