package bothstacks

import (
	"context"
	"errors"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// Stack is one of the transports.
type Stack interface {
	compat.Transport
	compat.ChannelAnnouncer
}

// Merged is what a transport made of others has of all of them. All methods may be called
// concurrently.
type Merged struct {
	stacks []Stack

	ctx      context.Context // ends when Close begins
	cancel   context.CancelFunc
	tasks    task.Group // the accept loops, and calls that Close waits for
	accepted chan accepted
	serve    sync.Once // the first Accept
}

// accepted is what Accept of a stack has returned.
type accepted struct {
	peer compat.PeerConn
	err  error
}

// New returns the stacks as one, until Close.
func New(stacks ...Stack) *Merged {
	m := &Merged{stacks: stacks, accepted: make(chan accepted)}
	m.ctx, m.cancel = context.WithCancel(context.Background())

	return m
}

// Context ends when Close begins.
func (m *Merged) Context() context.Context { return m.ctx }

// Enter counts a call in, for which Close waits and which ends with Leave. It returns
// compat.ErrTransportClosed after Close.
func (m *Merged) Enter() error {
	if !m.tasks.Enter() {
		return compat.ErrTransportClosed
	}

	return nil
}

// Leave ends a call that Enter has let in.
func (m *Merged) Leave() { m.tasks.Leave() }

// AnnounceChannels implements compat.ChannelAnnouncer for all stacks. It returns what the last one
// has announced before.
func (m *Merged) AnnounceChannels(channels []byte) (former []byte, err error) {
	for _, stack := range m.stacks {
		if former, err = stack.AnnounceChannels(channels); err != nil {
			return nil, err
		}
	}

	return former, nil
}

// Accept implements compat.Transport. All calls use the same behavior. An error of one stack says
// nothing of the others, and the next call may accept from all of them again.
func (m *Merged) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	m.serve.Do(func() {
		for _, stack := range m.stacks {
			m.tasks.Go(func() { m.acceptFrom(stack, behavior) })
		}
	})
	select {
	case a := <-m.accepted:
		return a.peer, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-m.ctx.Done():
		return nil, compat.ErrTransportClosed
	}
}

// acceptFrom passes the peers and errors of a stack to Accept until either is closed.
func (m *Merged) acceptFrom(stack compat.Transport, behavior compat.PeerBehavior) {
	for {
		p, err := stack.Accept(m.ctx, behavior)
		if errors.Is(err, compat.ErrTransportClosed) {
			return
		}
		select {
		case m.accepted <- accepted{p, err}:
		case <-m.ctx.Done():
			Remove(p)

			return
		}
	}
}

// Remove implements compat.Transport.
func Remove(p compat.PeerConn) {
	if p != nil {
		_ = p.CloseConn() // closing what is closed already is no error
	}
}

// Close ends the context and refuses further calls, closes the stacks as the function does, and
// waits for all calls and goroutines.
func (m *Merged) Close(stacks func() error) error {
	m.tasks.Close()
	m.cancel()
	err := stacks()
	m.tasks.Wait()

	return err
}
