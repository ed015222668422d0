package lp2p

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

var _ compat.LivenessProber = (*Peer)(nil)

// ErrProbeTimeout is the reason of a session whose remote has not answered ProbeAlive within
// the timeout.
var ErrProbeTimeout = errors.New("remote has shown no sign of life when it was probed")

// ProbeAlive implements compat.LivenessProber. It asks the remote for its NodeInfo. Any
// answer is a sign of life, even a refusal, and so is any message of the session. Without
// one the session fails with ErrProbeTimeout.
func (p *Peer) ProbeAlive(timeout time.Duration) {
	due := time.Now().Add(timeout)
	p.mtx.Lock()
	pending := !p.probed.IsZero() && !p.probed.After(due)
	if !pending {
		p.probed = due
	}
	p.mtx.Unlock()
	if pending || p.s.t.enter() != nil {
		return // an earlier probe ends before this one would, or Close ends the session
	}
	go func() {
		defer p.s.t.tasks.Done()
		select {
		case <-p.s.started:
		case <-p.s.ctx.Done():
			return
		}
		alive := p.s.answers(timeout)
		p.mtx.Lock()
		p.probed = time.Time{}
		p.mtx.Unlock()
		if !alive {
			p.s.fail(ErrProbeTimeout)
		}
	}()
}

// answers reports whether the remote shows a sign of life within the timeout. It returns
// true if the session ends meanwhile.
func (s *session) answers(timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	before := s.recv.Status(time.Now()).Bytes
	err := s.ask(ctx)
	silent := stream.IsLost(err) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)

	return !silent || s.ctx.Err() != nil || s.recv.Status(time.Now()).Bytes > before
}

// ask asks for the NodeInfo, and waits for the first byte of the answer. The caller is a
// task.
func (s *session) ask(ctx context.Context) error {
	st, err := stream.Open(ctx, s.conn, NodeInfoProtocol)
	if err != nil {
		return err
	}
	// The rest of the answer does not matter. The reset may have to wait for a remote that
	// takes nothing, and the verdict does not wait for the reset.
	defer s.t.tasks.Go(func() { _ = st.Reset() })
	defer context.AfterFunc(ctx, func() { _ = st.SetDeadline(stream.LongAgo) })()
	_, err = st.Read(make([]byte, 1))

	return err
}
