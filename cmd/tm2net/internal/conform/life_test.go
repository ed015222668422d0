package conform

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a node under test whose process can end and come back.
type process struct {
	mtx   sync.Mutex
	gone  bool
	looks []time.Duration // at which it was looked at since it has gone
	since time.Time
	back  time.Duration // after which it is back; 0 for never
}

func (p *process) end() {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.gone, p.since = true, time.Now()
}

func (p *process) connect(context.Context) (net.Conn, error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if p.gone && (p.back == 0 || time.Since(p.since) < p.back) {
		p.looks = append(p.looks, time.Since(p.since).Round(time.Second))

		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()

	return ours, theirs.Close()
}

func (p *process) target() *Target {
	t := NewTarget(netip.AddrPort{}, "", TargetOptions{Rate: 1})
	t.dialer.connect = p.connect

	return t
}

// dials is a case that connects, and does more.
func dials(name string, more func()) Case {
	return Case{Section: "s", Name: name, Level: Must, Want: Ends, Play: func(ctx context.Context, t *Target) (Seen, error) {
		conn, _, err := t.Connect(ctx)
		if err != nil {
			return Seen{}, err
		}
		time.Sleep(time.Millisecond) // of simulated time: the answer is not there at once
		more()

		return Seen{Outcome: Ends}, conn.Close()
	}}
}

func dialHonest(ctx context.Context, t *Target) error {
	conn, err := t.Dial(ctx)
	if err == nil {
		err = conn.Close()
	}

	return err
}

// What ends a node is named, although the node has done what the case expects, and the run ends.
func TestNodeThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &process{}
		cases := Catalog{dials("before", func() {}), dials("deadly", node.end), dials("after", func() {}), dials("last", func() {})}
		begun := time.Now()
		r, err := Run(t.Context(), node.target(), []Suite{{Cases: cases, Honest: dialHonest}}, Options{Conns: 1})
		require.ErrorIs(t, err, ErrNodeEnded)
		require.ErrorContains(t, err, "during case s.deadly")
		require.NotErrorIs(t, err, ErrNotHonest)
		require.Equal(t, map[string]Status{"s.before": Conforms, "s.deadly": Ended, "s.after": Skipped, "s.last": Skipped}, statuses(r))
		require.Equal(t, []string{"s.deadly"}, r.Ended)
		require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}, node.looks)
		require.Less(t, time.Since(begun), grace+10*time.Second)
	})
}

// Of cases that are played at a time each that was connected may have ended the node.
func TestNodeEndsDuringSeveralCases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &process{}
		slow := dials("slow", func() { time.Sleep(time.Minute) })
		slow.Slow = true
		cases := Catalog{slow, dials("deadly", func() { time.Sleep(5 * time.Second); node.end() }), dials("beside", func() { time.Sleep(10 * time.Second) })}
		r, err := Run(t.Context(), node.target(), []Suite{{Cases: cases, Honest: dialHonest}}, Options{})
		require.ErrorIs(t, err, ErrNodeEnded)
		require.Len(t, r.Ended, 3)
		require.Equal(t, "s.slow", r.Ended[2], "one that waits for timers is the least likely")
		require.ErrorContains(t, err, "--parallel 1")
	})
}

// A node may end when it clears up after a case that is over.
func TestNodeEndsJustAfterACase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &process{}
		target := node.target()
		target.dialer.pace.gap = time.Millisecond
		cases := Catalog{dials("deadly", func() { time.AfterFunc(100*time.Millisecond, node.end) }), dials("next", func() { time.Sleep(time.Second) })}
		r, err := Run(t.Context(), target, []Suite{{Cases: cases, Honest: dialHonest}}, Options{Conns: 1})
		require.ErrorIs(t, err, ErrNodeEnded)
		require.Equal(t, []string{"s.next", "s.deadly"}, r.Ended)
	})
}

// A node that comes back is judged on, and the case during which it was away is no verdict.
func TestNodeThatRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &process{back: 5 * time.Second}
		cases := Catalog{dials("before", func() {}), dials("deadly", node.end), dials("after", func() {})}
		r, err := Run(t.Context(), node.target(), []Suite{{Cases: cases, Honest: dialHonest}}, Options{Conns: 1})
		require.NoError(t, err)
		require.Equal(t, map[string]Status{"s.before": Conforms, "s.deadly": Failed, "s.after": Conforms}, statuses(r))
		require.Contains(t, r.Results[1].Reason, "refused connections for 7s")
	})
}

// A node that has never answered has not ended.
func TestNodeThatWasNeverThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &process{}
		node.end()
		_, err := node.target().Dial(t.Context())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.False(t, errors.Is(err, ErrNodeEnded))
		require.Len(t, node.looks, 1)
	})
}

// In the listening role the node is looked at, since nobody dials it.
func TestNodeEndsWhileItShouldDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &process{}
		target := node.target()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		target.dialer.life.start(cancel)
		require.NoError(t, dialHonest(ctx, target))
		node.end()
		target.dialer.life.watch(ctx, target)
		require.ErrorIs(t, context.Cause(ctx), ErrNodeEnded)
		require.Equal(t, askPause+time.Second, node.looks[0], "the second is the rate of connections")
	})
}
