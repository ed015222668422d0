package native

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// repeatInterval is the shortest time between two lines for events of one kind.
const repeatInterval = time.Minute

// repeats logs events that health checks and scans cause over and over: one a minute
// at its level, with the number of those since the last line, and the others at Debug.
// All methods may be called concurrently.
type repeats struct {
	mtx   sync.Mutex
	next  time.Time // when an event is next logged at its level
	since int       // events since the last line
}

func (r *repeats) logInfo(logger *slog.Logger, msg string, args ...any) {
	r.log(logger, slog.LevelInfo, msg, args...)
}

func (r *repeats) log(logger *slog.Logger, level slog.Level, msg string, args ...any) {
	r.mtx.Lock()
	now := time.Now()
	if now.Before(r.next) {
		r.since++
		level = slog.LevelDebug
	} else {
		args = append(args, "others_since_last_line", r.since)
		r.next, r.since = now.Add(repeatInterval), 0
	}
	r.mtx.Unlock()

	logger.Log(context.Background(), level, msg, args...)
}
