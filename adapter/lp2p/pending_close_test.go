package lp2p

import (
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// A session that waits for its answer when the node shuts down is told so, and not that
// nobody has answered.
func TestPendingMeetsClose(t *testing.T) {
	n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
	ctrl := r.open(r.connect(n), false)
	go func() {
		if _, err := n.AcceptPending(timeout(t)); err == nil {
			_ = n.Close()
		}
	}()
	m, err := r.say(ctrl, r.hello(control.NewEpoch()))
	require.NoError(t, err)
	require.IsType(t, &control.Reject{}, m)
	require.Equal(t, compat.RejectClosing, m.(*control.Reject).Code)
}

// afterWrite is a stream that calls a function after its first write.
type afterWrite struct {
	network.Stream
	once sync.Once
	call func()
}

func (s *afterWrite) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	s.once.Do(s.call)

	return n, err
}

// What ends a session right after the Accept is told by a Goodbye: a second answer to the
// Hello would be a violation.
func TestSessionEndsRightAfterTheAccept(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*node, *session)
		code compat.RejectCode
	}{
		"banned": {func(_ *node, s *session) { s.fail(banned()) }, compat.RejectBanned},
		"closing": {func(n *node, s *session) {
			go n.Close()
			<-s.ctx.Done()
		}, compat.RejectClosing},
	} {
		t.Run(name, func(t *testing.T) {
			n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
			ctx := timeout(t)
			n.Host().SetStreamHandler(SessionProtocol, n.handler(func(s network.Stream) {
				n.handleSession(&afterWrite{Stream: s, call: func() {
					n.sessions.mtx.Lock()
					active := n.sessions.active()
					n.sessions.mtx.Unlock()
					test.end(n, active[0])
				}})
			}))
			completed := make(chan error, 1)
			go func() {
				p, err := n.AcceptPending(ctx)
				if err == nil {
					_, err = p.Complete(ctx, n.info, n.behavior)
				}
				completed <- err
			}()
			ctrl := r.open(r.connect(n), false)
			m, err := r.say(ctrl, r.hello(control.NewEpoch()))
			require.NoError(t, err)
			require.IsType(t, &control.Accept{}, m)
			require.Equal(t, test.code, goodbyeOf(t, ctrl).Code)
			require.Error(t, <-completed)
			require.NoError(t, ctrl.CloseWrite())
			n.awaitNoConns(t)
		})
	}
}
