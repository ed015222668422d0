package adapter

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
)

// acceptScript counts the calls of Accept and answers them with a script before
// the real transport does.
type acceptScript struct {
	mtx   sync.Mutex
	times []time.Time
	steps func(call int) (err error, ok bool)
}

func (s *acceptScript) wrap(tr *memory.Transport) compat.Transport {
	return &acceptHook{Transport: tr, accept: func(ctx context.Context, b compat.PeerBehavior) (compat.PeerConn, error) {
		s.mtx.Lock()
		s.times = append(s.times, time.Now())
		err, ok := s.steps(len(s.times))
		s.mtx.Unlock()
		if ok {
			return nil, err
		}

		return tr.Accept(ctx, b)
	}}
}

func (s *acceptScript) calls() []time.Time {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return append([]time.Time(nil), s.times...)
}

func TestAcceptBacksOffAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		const failures = 12
		script := &acceptScript{steps: func(call int) (error, bool) {
			if call == 3 {
				return nil, true // neither a peer nor an error
			}

			return errors.New("too many open files"), call != failures+1 && call <= failures+3
		}}
		b := newNodeOn(t, network.NewTransport(chA, chB), script.wrap)
		a := newNode(t, network)
		defer start(t, a, b)()
		pass(time.Minute)

		times := script.calls()
		require.Len(t, times, failures+1, "no spinning")
		connect(t, a, b)
		pass(time.Minute)
		after := script.calls()[failures+1:]
		require.Len(t, after, 3)
		require.Equal(t, minAcceptBackoff, after[1].Sub(after[0]), "starts over after a success")
		want := minAcceptBackoff
		for i := 1; i < len(times); i++ {
			require.Equal(t, want, times[i].Sub(times[i-1]))
			want = min(2*want, maxAcceptBackoff)
		}
	})
}

func TestAcceptEndsWithTheTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		script := &acceptScript{steps: func(int) (error, bool) { return nil, false }}
		n := newNodeOn(t, network.NewTransport(chA, chB), script.wrap)
		defer start(t, n)()
		require.NoError(t, n.tr.Close())
		pass(time.Hour)
		require.Len(t, script.calls(), 1)
		require.True(t, n.IsRunning(), "the switch may still dial")
	})
}

func TestSlowAdmissionDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		slow, quick, hub := newNode(t, network), newNode(t, network), newNode(t, network)
		leave := make(chan struct{})
		hub.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
			if p.ID() == slow.id() {
				<-leave
			}

			return p
		}
		defer start(t, slow, quick, hub)()
		slow.DialPeers(hub.addr())
		synctest.Wait()
		connect(t, quick, hub)
		require.False(t, hub.Peers().Has(slow.id()))
		close(leave)
		synctest.Wait()
		require.True(t, hub.Peers().Has(slow.id()))
	})
}

func TestAdmissionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub := newNode(t, network, WithMaxInboundPeers(1000))
		leave := make(chan struct{})
		hub.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { <-leave; return p }
		nodes := []*node{hub}
		for range maxAdmissions + 8 {
			nodes = append(nodes, newNode(t, network))
		}
		defer start(t, nodes...)()
		for _, n := range nodes[1:] {
			n.DialPeers(hub.addr())
		}
		synctest.Wait()
		require.Equal(t, maxAdmissions, hub.reactor.count("init"))
		close(leave)
		synctest.Wait()
		require.Len(t, hub.Peers().List(), maxAdmissions+8)
	})
}
