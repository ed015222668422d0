package compattest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// soon is the deadline of calls that must not succeed. A test waits until it has passed.
const soon = 50 * time.Millisecond

// concurrentDials is the number of concurrent dials.
const concurrentDials = 16

// dialPromises cover how a dial ends.
func (s transportSuite) dialPromises() []promiseCase {
	return []promiseCase{
		{"Dial/Cancelled", s.dialCancelled},
		{"Dial/Silence/Cancel", s.dialSilenceCancel},
		{"Dial/Silence/Deadline", s.dialSilenceDeadline},
		{"Dial/NobodyAccepts", s.dialNobodyAccepts},
		{"Dial/ClosedPort", s.dialClosedPort},
		{"Dial/Concurrent", s.dialConcurrent},
		{"Dial/Crossed", s.dialCrossed},
		{"Dial/Again", s.dialAgain},
	}
}

func (s transportSuite) dialCancelled(t *testing.T) {
	a, b := s.endpoints(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	peer, err := a.dial(ctx, b.tr.NetAddress())
	requireNoPeer(t, peer, err)
	require.ErrorIs(t, err, context.Canceled)
}

// The context ends a dial to a silent listener, before any timeout of the stack.
func (s transportSuite) dialSilenceCancel(t *testing.T) {
	a, _ := s.endpoints(t, nil)
	addr, connected := listenSilently(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-connected:
		case <-ctx.Done():
		}
	}()
	var (
		peer compat.PeerConn
		err  error
	)
	returnsInTime(t, "Dial", func() { peer, err = a.dial(ctx, addr) })
	requireNoPeer(t, peer, err)
	require.ErrorIs(t, err, context.Canceled)
}

func (s transportSuite) dialSilenceDeadline(t *testing.T) {
	a, _ := s.endpoints(t, nil)
	addr, _ := listenSilently(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var (
		peer compat.PeerConn
		err  error
	)
	returnsInTime(t, "Dial", func() { peer, err = a.dial(ctx, addr) })
	requireNoPeer(t, peer, err)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// Without an Accept, a dial may succeed or wait until its context ends.
func (s transportSuite) dialNobodyAccepts(t *testing.T) {
	a, b := s.endpoints(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var (
		peer compat.PeerConn
		err  error
	)
	returnsInTime(t, "Dial", func() { peer, err = a.dial(ctx, b.tr.NetAddress()) })
	if err != nil {
		requireNoPeer(t, peer, err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
}

func (s transportSuite) dialClosedPort(t *testing.T) {
	a, _ := s.endpoints(t, nil)
	listener := listenLocal(t)
	addr := addressOf(t, listener)
	require.NoError(t, listener.Close())
	var (
		peer compat.PeerConn
		err  error
	)
	returnsInTime(t, "Dial", func() { peer, err = a.dial(context.Background(), addr) })
	requireNoPeer(t, peer, err)
}

// Each concurrent dial gets a different connection, whose two ends belong together.
func (s transportSuite) dialConcurrent(t *testing.T) {
	a, b := s.endpoints(t, nil)
	b.serve(t, b.run)
	dialed, errs := make([]compat.PeerConn, concurrentDials), make([]error, concurrentDials)
	var wg sync.WaitGroup
	for i := range concurrentDials {
		wg.Go(func() { dialed[i], errs[i] = a.dial(t.Context(), b.tr.NetAddress()) })
	}
	wg.Wait()

	var want, got []string
	for i, peer := range dialed {
		require.NoError(t, errs[i])
		a.start(t, peer)
		want = append(want, fmt.Sprint("dial ", i))
		require.True(t, peer.Send(ChannelA, []byte(want[i])))
	}
	b.await(t, "a message of each dial", func() bool { return len(b.received) >= concurrentDials })
	seen := make(map[compat.PeerConn]bool)
	b.mtx.Lock()
	defer b.mtx.Unlock()
	for _, d := range b.received {
		require.False(t, seen[d.peer], "two dials ended at one peer")
		seen[d.peer] = true
		got = append(got, string(d.msg))
	}
	require.ElementsMatch(t, want, got)
}

// Two crossed connections both work. The switch, not the stack, chooses one of them.
func (s transportSuite) dialCrossed(t *testing.T) {
	a, b := s.endpoints(t, nil)
	var links [2]*link
	var wg sync.WaitGroup
	for i, ends := range [][2]*endpoint{{a, b}, {b, a}} {
		from, to := ends[0], ends[1]
		l := &link{a: from, b: to}
		links[i] = l
		wg.Go(func() {
			if peer, err := to.accept(t.Context()); err != nil {
				t.Errorf("accept: %v", err)
			} else {
				l.in = peer
			}
		})
		wg.Go(func() {
			if peer, err := from.dial(t.Context(), to.tr.NetAddress()); err != nil {
				t.Errorf("dial: %v", err)
			} else {
				l.out = peer
			}
		})
	}
	returnsInTime(t, "two crossed dials", wg.Wait)
	require.False(t, t.Failed())
	for _, l := range links {
		require.True(t, l.out.IsOutbound())
		require.False(t, l.in.IsOutbound())
		l.start(t)
		l.works(t)
	}
}

// A peer can connect again as soon as its connection was removed.
func (s transportSuite) dialAgain(t *testing.T) {
	a, b := s.endpoints(t, nil)
	for range 3 {
		l := connectEnds(t, a, b)
		l.start(t)
		l.works(t)
		a.drop(l.out)
		awaitQuit(t, l.in)
		b.drop(l.in)
	}
}

// listenLocal returns a TCP listener on 127.0.0.1.
func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)

	return listener
}

func addressOf(t *testing.T, listener net.Listener) types.NetAddress {
	t.Helper()
	addr, err := types.NewNetAddress(types.GenerateNodeKey().ID(), listener.Addr())
	require.NoError(t, err)

	return *addr
}

// listenSilently returns the address of a listener that sends nothing, and a channel that
// is closed when a dialer has sent its first byte.
func listenSilently(t *testing.T) (types.NetAddress, <-chan struct{}) {
	t.Helper()
	listener := listenLocal(t)
	connected := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		first := sync.OnceFunc(func() { close(connected) })
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			wg.Go(func() {
				// The first byte shows that the dialer has begun its handshake. Connections
				// that end without one do not count.
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					first()
				}
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		wg.Wait()
	})

	return addressOf(t, listener), connected
}
