package tunnel

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// The node dials a native node that the bridge allows by its address.
func TestNodeDialsThroughATunnel(t *testing.T) {
	far := startNative(t, types.GenerateNodeKey(), nil)
	w := newWorld(t, Config{Reach: reach(far.at)})
	out := w.node.join(t, far.at)
	in := far.met(t)
	require.Equal(t, far.key.ID(), out.ID())
	require.Equal(t, w.node.key.ID(), in.ID())
	require.Equal(t, far.at.DialString(), out.SocketAddr().DialString())
	exchange(t, out, in, w.node, far)
	require.NoError(t, w.server.Close())
	next(t, w.node.removed)
	next(t, far.removed)
}

// A tunnel leads nowhere but to the bridge's native nodes, and for nobody but its targets.
func TestTunnelsAreNoOpenProxy(t *testing.T) {
	far := startNative(t, types.GenerateNodeKey(), nil)
	w := newWorld(t, Config{Reach: reach(far.at)})
	ask := func(by *lp2p.Transport, address string) error {
		s := asking(by, w.bridge.NetAddress())
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := s.DialContext(ctx, "tcp", address)
		if err == nil {
			require.NoError(t, conn.Close())
		}

		return err
	}
	stranger := newSide(t, types.GenerateNodeKey(), false)
	require.NoError(t, ask(w.side, far.at.DialString()))
	var refused *RefusedError
	require.ErrorAs(t, ask(stranger, far.at.DialString()), &refused)
	require.Contains(t, refused.Reason, "no tunnel for this node")
	require.ErrorAs(t, ask(stranger, ""), &refused)
	require.ErrorAs(t, ask(w.side, "127.0.0.1:22"), &refused)
	require.Contains(t, refused.Reason, "native nodes only")
	plain := newSide(t, types.GenerateNodeKey(), true)
	s := asking(w.side, plain.NetAddress())
	_, err := s.DialContext(t.Context(), "tcp", far.at.DialString())
	require.ErrorIs(t, err, errNoBridge, "a node is no bridge")
}

// A bridge that takes connections and says nothing leaves a dial time for the other bridge, which
// is asked first from then on.
func TestOneOfTwoBridgesIsGone(t *testing.T) {
	far := startNative(t, types.GenerateNodeKey(), nil)
	timeouts := lp2p.DefaultTimeouts()
	timeouts.Dial = 10 * patience // so that the dial of the first one does not end
	w := newWorld(t, Config{Reach: reach(far.at)}, lp2p.WithTimeouts(timeouts))
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer mute.Close()
	gone, err := types.NewNetAddress(types.GenerateNodeKey().ID(), mute.Addr())
	require.NoError(t, err)
	s := asking(w.side, *gone, w.bridge.NetAddress())
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		conn, err := s.DialContext(ctx, "tcp", far.at.DialString())
		cancel()
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.Equal(t, w.bridge.NetAddress().ID, s.inOrder()[0].ID)
	}
	s.bridges = s.bridges[1:] // the first one would be waited for
	_, err = s.DialContext(t.Context(), "tcp", "127.0.0.1:22")
	require.ErrorContains(t, err, "bridge "+w.bridge.NetAddress().ID.String())
}

// heldSockets dial when they are released.
type heldSockets struct {
	socket.System
	asked   chan struct{}
	release chan struct{}
}

func (s heldSockets) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s.asked <- struct{}{}
	select {
	case <-s.release:
		return s.System.DialContext(ctx, network, address)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A bridge that is slow to answer is not given up for one that refuses, and its tunnel is closed if
// another one has opened before.
func TestSlowBridge(t *testing.T) {
	for name, refuses := range map[string]bool{"the other one refuses": true, "the other one is faster": false} {
		t.Run(name, func(t *testing.T) {
			far, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer far.Close()
			at, err := types.NewNetAddress(types.GenerateNodeKey().ID(), far.Addr())
			require.NoError(t, err)
			held := heldSockets{asked: make(chan struct{}, 2), release: make(chan struct{})}
			w := newWorld(t, Config{Reach: reach(*at), Sockets: held})
			begun := make(chan struct{})
			reached := func() []*types.NetAddress {
				select { // so that the other one is not faster than the question to the first
				case <-begun:
				case <-t.Context().Done():
				}

				return reach(*at)()
			}
			if refuses {
				reached = nil
			}
			other := newSide(t, types.GenerateNodeKey(), true)
			server, err := Serve(other, Config{
				Targets: []Target{{Node: types.NetAddress{ID: w.node.key.ID()}, Listen: loopback()}}, Reach: reached, times: patientTimes(),
			})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, server.Close()) })
			s := asking(w.side, w.bridge.NetAddress(), other.NetAddress())
			s.times.next = 10 * time.Millisecond
			opened := make(chan net.Conn, 1)
			go func() {
				conn, err := s.DialContext(t.Context(), "tcp", at.DialString())
				if err != nil {
					t.Errorf("dial: %v", err)
				}
				opened <- conn
			}()
			next(t, held.asked)
			close(begun)
			if !refuses {
				conn := next(t, opened)
				require.Equal(t, other.NetAddress().ID, conn.(*tunneled).bridge)
				require.NoError(t, conn.Close())
				s.tasks.Close()
				s.tasks.Wait() // for the dial of the slow one, and whoever closes what it has opened

				return
			}
			require.Eventually(t, func() bool { return s.inOrder()[0].ID == other.NetAddress().ID }, patience, time.Millisecond, "it has refused")
			close(held.release)
			conn := next(t, opened)
			require.Equal(t, w.bridge.NetAddress().ID, conn.(*tunneled).bridge)
			require.NoError(t, conn.Close())
		})
	}
}

// slowSockets dial until the context ends.
type slowSockets struct{ socket.System }

func (slowSockets) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()

	return nil, ctx.Err()
}

// A node learns that a native node does not answer, though the dial takes all its time.
func TestRefusalAfterASlowDialIsTold(t *testing.T) {
	far := loopback()
	far.ID, far.Port = types.GenerateNodeKey().ID(), 1
	w := newWorld(t, Config{Reach: reach(far), Sockets: slowSockets{}, times: times{open: patience, dial: 100 * time.Millisecond}})
	s := asking(w.side, w.bridge.NetAddress())
	_, err := s.DialContext(t.Context(), "tcp", far.DialString())
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, reasons[reasonUnreachable], refused.Reason)
}

// The log of the bridge says why a node gets no tunnel, with the error of the dial, which names
// the address and is not told to the node.
func TestRefusalsAreLogged(t *testing.T) {
	nobody := loopback()
	nobody.ID, nobody.Port = types.GenerateNodeKey().ID(), stacktest.FreePortAt(t, nobody.IP)
	var log stacktest.Log
	w := newWorld(t, Config{Reach: reach(nobody), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s := asking(w.side, w.bridge.NetAddress())
	for address, want := range map[string]string{
		nobody.DialString(): `reason=unreachable err="dial tcp ` + nobody.DialString() + `: connect: connection refused"`,
		"127.0.0.1:22":      `reason="not allowed" err="` + reasons[reasonNotAllowed] + `"`,
	} {
		_, err := s.DialContext(t.Context(), "tcp", address)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "connection refused")
		require.Contains(t, log.String(), "address="+address+" "+want)
	}
}
