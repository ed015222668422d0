// Package summary logs events that strangers can cause as often as they like, so that a
// flood of them does not fill the log.
package summary

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// interval is the time between two lines about events of one kind.
	interval = time.Minute
	// maxKinds is how many kinds of events there are at most before networks are no longer
	// told apart.
	maxKinds = 8
)

// Log logs the first event of a kind at its level and all others at Debug. Once a minute it
// logs how many others there were, until a minute passes without one. Events with the same
// message, level and reason that come from one network, an IPv4 /24 or IPv6 /48, are of one
// kind. When there are many kinds, networks are no longer told apart. All methods may be
// called concurrently.
type Log struct {
	logger *slog.Logger

	mtx    sync.Mutex
	closed bool
	others map[kind]int // events after the first one, since the last line
	timer  *time.Timer  // for the next lines; nil while there is no kind
	ticks  sync.WaitGroup
}

type kind struct {
	level   slog.Level
	msg     string
	reason  string
	network netip.Prefix // not valid: any
}

// New returns a log that writes to the logger, and that has to be closed.
func New(logger *slog.Logger) *Log { return &Log{logger: logger, others: make(map[kind]int)} }

// Event logs or counts an event. The message and the reason are two of a few constants;
// from is the IP of the remote, which may be invalid.
func (l *Log) Event(level slog.Level, from netip.Addr, msg, reason string, args ...any) {
	if !l.isFirst(kind{level: level, msg: msg, reason: reason, network: netgroup.Around(from)[1]}) {
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, msg, args...)
}

func (l *Log) isFirst(k kind) bool {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	if l.closed {
		return false
	}
	n, known := l.others[k]
	if !known && len(l.others) >= maxKinds {
		k.network = netip.Prefix{}
		n, known = l.others[k]
	}
	if known {
		l.others[k] = n + 1

		return false
	}
	l.others[k] = 0
	if l.timer == nil {
		l.ticks.Add(1)
		l.timer = time.AfterFunc(interval, l.tick)
	}

	return true
}

// line tells of events of one kind.
type line struct {
	kind
	others int
}

// tick writes what is due, and goes on while there are kinds.
func (l *Log) tick() {
	defer l.ticks.Done()
	l.mtx.Lock()
	lines := l.takeLines()
	switch {
	case l.closed:
	case len(l.others) == 0:
		l.timer = nil
	default:
		l.ticks.Add(1)
		l.timer.Reset(interval)
	}
	l.mtx.Unlock()
	l.write(lines)
}

// takeLines returns what is to be logged now, and forgets the kinds of which there were no
// others. The caller holds the lock.
func (l *Log) takeLines() (lines []line) {
	for k, n := range l.others {
		if n == 0 {
			delete(l.others, k)

			continue
		}
		lines = append(lines, line{k, n})
		l.others[k] = 0
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Compare(b.others, a.others) })

	return lines
}

func (l *Log) write(lines []line) {
	for _, line := range lines {
		network := "any"
		if line.network.IsValid() {
			network = netgroup.Name(line.network)
		}
		l.logger.Log(context.Background(), line.level, line.msg,
			"more_times", line.others, "reason", line.reason, "network", network)
	}
}

// Close writes what has not been written. Later events are logged at Debug.
func (l *Log) Close() {
	l.mtx.Lock()
	if !l.closed && l.timer != nil && l.timer.Stop() {
		l.ticks.Done()
	}
	l.closed = true
	lines := l.takeLines()
	l.mtx.Unlock()
	l.write(lines)
	l.ticks.Wait()
}
