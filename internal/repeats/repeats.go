// Package repeats sums up log lines for events that strangers can cause over and over,
// such as health checks and port scans.
package repeats

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Interval is the shortest time between two lines for events of one kind.
const Interval = time.Minute

// Log logs events of one kind: one a minute at its level, with the number of those since
// the last line, and the others at Debug. The zero value is ready. All methods may be
// called concurrently.
type Log struct {
	mtx   sync.Mutex
	next  time.Time // when an event is next logged at its level
	since int       // events since the last line
}

// Info is Log at Info.
func (l *Log) Info(logger *slog.Logger, msg string, args ...any) {
	l.Log(logger, slog.LevelInfo, msg, args...)
}

// Log logs an event at the level, or at Debug if there was a line within the last Interval.
func (l *Log) Log(logger *slog.Logger, level slog.Level, msg string, args ...any) {
	l.mtx.Lock()
	now := time.Now()
	if now.Before(l.next) {
		l.since++
		level = slog.LevelDebug
	} else {
		args = append(args, "others_since_last_line", l.since)
		l.next, l.since = now.Add(Interval), 0
	}
	l.mtx.Unlock()

	logger.Log(context.Background(), level, msg, args...)
}
