package dropin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	testChannel byte = 0x20
	patience         = time.Minute
)

// newGnoTransport returns a gno transport that listens on a loopback port.
func newGnoTransport(t *testing.T) *p2p.MultiplexTransport {
	t.Helper()
	key := gnotypes.GenerateNodeKey()
	info := gnotypes.NodeInfo{
		NetAddress: &gnotypes.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1), Port: 26656},
		Network:    "dropin",
		Version:    "v1.0.0",
		Channels:   []byte{testChannel},
		Moniker:    "node",
	}
	tr := p2p.NewMultiplexTransport(info, *key, conn.DefaultMConnConfig(), slog.New(slog.DiscardHandler))
	require.NoError(t, tr.Listen(gnotypes.NetAddress{ID: key.ID(), IP: info.NetAddress.IP}))
	t.Cleanup(func() { closeGnoTransport(t, tr) })

	return tr
}

// closeGnoTransport closes the transport and its unaccepted peers, and waits until its
// accept loop has ended.
func closeGnoTransport(t *testing.T, tr *p2p.MultiplexTransport) {
	t.Helper()
	if err := tr.Close(); err != nil {
		require.ErrorIs(t, err, net.ErrClosed)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		peer, err := FromTransport(tr).Accept(ctx, newRecorder())
		if err != nil {
			require.ErrorIs(t, err, compat.ErrTransportClosed)

			return
		}
		require.NoError(t, peer.CloseConn())
	}
}

// recorder is a reactor, and a PeerBehavior with only that reactor.
type recorder struct {
	compat.BaseReactor
	wrap func(compat.PeerConn) compat.PeerConn // makes the result of InitPeer

	received chan delivery
	failed   chan compat.PeerConn
	added    chan compat.PeerConn
	removed  chan compat.PeerConn
}

type delivery struct {
	peer compat.PeerConn
	msg  string
}

func newRecorder() *recorder {
	r := &recorder{
		wrap:     func(p compat.PeerConn) compat.PeerConn { return p },
		received: make(chan delivery, 16),
		failed:   make(chan compat.PeerConn, 16),
		added:    make(chan compat.PeerConn, 16),
		removed:  make(chan compat.PeerConn, 16),
	}
	r.BaseReactor = *compat.NewBaseReactor("recorder", r)

	return r
}

func (r *recorder) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: testChannel, Priority: 1, SendQueueCapacity: 8}}
}

func (r *recorder) InitPeer(peer compat.PeerConn) compat.PeerConn { return r.wrap(peer) }

func (r *recorder) AddPeer(peer compat.PeerConn) { r.added <- peer }

func (r *recorder) RemovePeer(peer compat.PeerConn, _ any) { r.removed <- peer }

func (r *recorder) Receive(_ byte, peer compat.PeerConn, msg []byte) {
	r.received <- delivery{peer, string(msg)}
}

func (r *recorder) ReactorChDescriptors() []*compat.ChannelDescriptor { return r.GetChannels() }

func (r *recorder) Reactors() map[byte]compat.Reactor {
	return map[byte]compat.Reactor{testChannel: r}
}

func (r *recorder) HandlePeerError(peer compat.PeerConn, _ error) { r.failed <- peer }

func (r *recorder) IsPersistentPeer(types.ID) bool { return true }

func (r *recorder) IsPrivatePeer(types.ID) bool { return false }

// await returns the next value of a channel.
func await[T any](t *testing.T, ch <-chan T) T {
	t.Helper()

	return awaitWithin(t, patience, ch)
}

// awaitWithin is await with another timeout.
func awaitWithin[T any](t *testing.T, bound time.Duration, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(bound):
		require.Fail(t, "nothing came")
		panic("unreachable")
	}
}

// dialed returns both ends of a connection between two gno transports, converted to ours
// and not started.
func dialed(t *testing.T, a, b *recorder) (out, in compat.PeerConn) {
	t.Helper()
	trA, trB := FromTransport(newGnoTransport(t)), FromTransport(newGnoTransport(t))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	var (
		wg     sync.WaitGroup
		accept error
	)
	wg.Go(func() { in, accept = trB.Accept(ctx, b) })
	out, err := trA.Dial(ctx, trB.NetAddress(), a)
	require.NoError(t, err)
	wg.Wait()
	require.NoError(t, accept)
	t.Cleanup(func() {
		trA.Remove(out)
		trB.Remove(in)
		for _, peer := range []compat.PeerConn{out, in} {
			_ = peer.Stop() // it may be stopped, or never started
			if err := peer.CloseConn(); err != nil && !errors.Is(err, io.EOF) {
				require.ErrorIs(t, err, net.ErrClosed)
			}
		}
	})

	return out, in
}
