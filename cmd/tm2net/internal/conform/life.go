package conform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNodeEnded says that the node has answered at its address and now refuses connections there.
var ErrNodeEnded = errors.New("the node has ended")

// grace is how long a node that refuses connections may take to come back: it may be restarting. It
// is looked at again after a second, then after two more, and so on.
const grace = 15 * time.Second

// EndedError tells during which case the node has ended.
type EndedError struct {
	// Cases had a connection when the node ended, or just before. The first is the likeliest: those
	// that wait for timers come last.
	Cases []string
}

func (e *EndedError) Error() string {
	var where string
	switch len(e.Cases) {
	case 0:
		where = "while no case had a connection"
	case 1:
		where = "during case " + e.Cases[0]
	default:
		where = fmt.Sprintf("during one of the cases %s (--parallel 1 --rate 1 --quick tells which)", strings.Join(e.Cases, ", "))
	}
	return fmt.Sprintf("%s %s, and was not back after %s", ErrNodeEnded, where, grace)
}

// Unwrap makes the error one of ErrNodeEnded.
func (*EndedError) Unwrap() error { return ErrNodeEnded }

// play is one time that a case is played.
type play struct {
	id     string
	slow   bool
	joined time.Time // its last connection; zero before the first
	over   time.Time
}

// life notices when the node ends and comes back, and which cases it was judged by then. It is told
// of every connection to the node.
type life struct {
	mtx   sync.Mutex
	plays []*play
	alive time.Time // the node was there then or later; zero before its first connection
	away  time.Time // it has refused connections since then; zero if it does not
	lost  []lost
	end   context.CancelCauseFunc // of the run
}

// lost are cases of which nothing is known, since the node was away for a while.
type lost struct {
	cases []string
	away  time.Duration
}

// start begins a run, which end ends.
func (l *life) start(end context.CancelCauseFunc) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	l.plays, l.lost, l.end = nil, nil, end
}

// begin records that a case is played.
func (l *life) begin(c Case) *play {
	p := &play{id: c.ID(), slow: c.Slow}
	l.mtx.Lock()
	defer l.mtx.Unlock()
	l.plays = append(l.plays, p)

	return p
}

// finish records that the case was played.
func (l *life) finish(p *play) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	p.over = time.Now()
}

// connected records a connection that was begun at the time, and the case that it is for, if any.
func (l *life) connected(begun time.Time, p *play) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	if !l.away.IsZero() && begun.After(l.away) {
		l.lost = append(l.lost, lost{cases: l.suspects(), away: time.Since(l.away)})
		l.away = time.Time{}
	}
	if l.away.IsZero() && begun.After(l.alive) {
		l.alive = begun
	}
	if p != nil {
		p.joined = time.Now()
	}
}

// answered records a connection of the node, which it may have opened a while ago.
func (l *life) answered(p *play) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	if p != nil {
		p.joined = time.Now()
	}
}

// refused records a refused connection, and returns for how long the node may still be away. When
// that is over it ends the run. A node that has never accepted a connection may be away for no time, and
// has not ended.
func (l *life) refused() (left time.Duration, err error) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	if l.alive.IsZero() {
		return 0, nil
	}
	if l.away.IsZero() {
		l.away = time.Now()
	}
	if left = grace - time.Since(l.away); left > 0 {
		return left, nil
	}
	ended := &EndedError{Cases: l.suspects()}
	if l.end != nil {
		l.end(ended)
	}

	return 0, ended
}

// aftermath is how long after a case a node may end for what the case did: it clears up when it
// notices that the connection is gone.
const aftermath = time.Second

// suspects are the cases that had a connection when the node was last known to be there, or later,
// and the last ones that were over just before. The likeliest comes first.
func (l *life) suspects() []string {
	var quick, late, slow []*play
	for _, p := range l.plays {
		switch open := p.over.IsZero() || !p.over.Before(l.alive); {
		case p.joined.IsZero():
		case open && p.slow:
			slow = append(slow, p)
		case open:
			quick = append(quick, p)
		case l.alive.Sub(p.over) < aftermath:
			late = append(late, p)
		}
	}
	slices.SortStableFunc(quick, func(a, b *play) int { return b.joined.Compare(a.joined) })
	slices.SortStableFunc(late, func(a, b *play) int { return b.over.Compare(a.over) })
	var ids []string
	late = late[:min(len(late), defaultConns)]
	for _, p := range slices.Concat(quick, late, slow) {
		if !slices.Contains(ids, p.id) {
			ids = append(ids, p.id)
		}
	}

	return ids
}

// dial connects to the node for a case, or for nil. A node that refuses, after it has accepted, is
// looked at again, and the run ends if it is not back then.
func (d *dialer) dial(ctx context.Context, p *play) (net.Conn, error) {
	if err := d.pace.wait(ctx); err != nil {
		return nil, err
	}
	for wait := time.Second; ; wait *= 2 {
		begun := time.Now()
		conn, err := d.connect(ctx)
		if err == nil {
			d.life.connected(begun, p)
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return conn, err
		}
		left, ended := d.life.refused()
		if left <= 0 {
			return nil, errors.Join(ended, err)
		}
		if e := Pause(ctx, min(wait, left)); e != nil {
			return nil, errors.Join(err, e)
		}
	}
}

// Pause waits for the time, or until the context ends.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch looks at the node now and then until the context ends, for a role in which the node dials.
func (l *life) watch(ctx context.Context, t *Target) {
	for Pause(ctx, askPause) == nil {
		if conn, err := t.Dial(ctx); err == nil {
			_ = conn.Close() // it was only a look
		}
	}
}
