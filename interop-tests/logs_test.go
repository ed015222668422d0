package interoptests

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// newLogger returns a logger whose records become events of the log.
func newLogger(log *peerlog.Log) *slog.Logger {
	return slog.New(slog.NewTextHandler(logWriter{log}, nil))
}

type logWriter struct{ log *peerlog.Log }

func (w logWriter) Write(record []byte) (int, error) {
	w.log.Append(protocol.Event{Event: protocol.EventLog, Reason: strings.TrimSpace(string(record))})

	return len(record), nil
}

// showOnFailure prints the log records if the test fails.
func showOnFailure(t *testing.T, log *peerlog.Log) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, e := range log.Events(func(e protocol.Event) bool { return e.Event == protocol.EventLog }) {
			t.Logf("%s: %s", log.Name(), e.Reason)
		}
	})
}
