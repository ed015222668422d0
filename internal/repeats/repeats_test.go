package repeats

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A minute has one line, which counts the events since the line before.
func TestOneLineAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			logs bytes.Buffer
			l    Log
		)
		logger := slog.New(slog.NewTextHandler(&logs, nil))
		for range 25 { // every ten seconds for four minutes
			l.Info(logger, "event")
			<-time.After(10 * time.Second)
		}
		lines := strings.Split(strings.TrimSpace(logs.String()), "\n")
		require.Len(t, lines, 5)
		require.Contains(t, lines[0], "others_since_last_line=0")
		for _, line := range lines[1:] {
			require.Contains(t, line, "level=INFO")
			require.Contains(t, line, "others_since_last_line=5")
		}
	})
}
