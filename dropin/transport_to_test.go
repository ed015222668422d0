package dropin

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	gnoservice "github.com/gnolang/gno/tm2/pkg/service"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// newLibp2pTransport returns a listening libp2p transport.
func newLibp2pTransport(t *testing.T) *lp2p.Transport {
	t.Helper()
	key, info := newIdentity(testChannel)
	tr, err := lp2p.NewTransport(FromNodeInfo(info), FromNodeKey(key), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(*FromNetAddress(info.NetAddress)))

	return tr
}

// newGnoSwitchOn returns a running gno switch on the transport.
func newGnoSwitchOn(t *testing.T, tr p2p.Transport, r p2p.Reactor) *p2p.MultiplexSwitch {
	t.Helper()
	sw := p2p.NewMultiplexSwitch(tr, p2p.WithReactor("recorder", r), p2p.WithAllowDuplicateIP(true))
	sw.SetLogger(slog.New(slog.DiscardHandler))
	require.NoError(t, sw.Start())
	t.Cleanup(func() {
		if err := sw.Stop(); err != nil {
			require.ErrorIs(t, err, gnoservice.ErrAlreadyStopped)
		}
	})

	return sw
}

func TestGnoSwitchOverLibp2p(t *testing.T) {
	trA, trB := newLibp2pTransport(t), newLibp2pTransport(t)
	a, b := newGnoRecorder("a", testChannel), newGnoRecorder("b", testChannel)
	b.wrap = func(p p2p.PeerConn) p2p.PeerConn { return &gnoWrapped{p} }
	swA := newGnoSwitchOn(t, Transport(trA), a)
	swB := newGnoSwitchOn(t, Transport(trB), b)
	addr := Transport(trB).NetAddress()
	require.EqualValues(t, trB.NetAddress().ID, addr.ID)

	for range 3 {
		swA.DialPeers(&addr)
		atA, atB := await(t, a.added), await(t, b.added)
		require.Same(t, atA, swA.Peers().Get(addr.ID))
		require.Same(t, atB, swB.Peers().Get(atB.ID()))
		require.True(t, atA.Send(testChannel, []byte("there")))
		got := await(t, b.received)
		require.Equal(t, "there", got.msg)
		require.Same(t, atB.(*gnoWrapped).PeerConn, got.peer, "gno hands over the transport's peer")
		swB.Broadcast(testChannel, []byte("back"))
		require.Equal(t, gnoDelivery{atA, "back"}, await(t, a.received))

		// gno removes a peer from the transport before it stops it. RemovePeer is still
		// called once on both ends.
		swB.StopPeerForError(atB, errors.New("enough"))
		require.Same(t, atB, await(t, b.removed))
		require.Same(t, atA, await(t, a.removed))
		require.ErrorIs(t, atA.Stop(), gnoservice.ErrAlreadyStopped)
		require.Empty(t, a.removed)
		require.Empty(t, b.removed)
		awaitForgotten(t, swA, swB, addr.ID, atB.ID())
	}
	require.NoError(t, swA.Stop())
	require.NoError(t, swB.Stop())
}

// awaitForgotten waits until neither switch has the other's ID in its set, which gno's clears after
// RemovePeer. Until then it neither dials nor accepts the ID.
func awaitForgotten(t *testing.T, a, b *p2p.MultiplexSwitch, ofB, ofA gnotypes.ID) {
	t.Helper()
	require.Eventually(t, func() bool { return !a.Peers().Has(ofB) && !b.Peers().Has(ofA) }, patience, time.Millisecond)
}

// counting counts the calls of Accept, and signals when one has failed.
type counting struct {
	p2p.Transport
	accepts atomic.Int64
	failed  chan error
}

func (c *counting) Accept(ctx context.Context, b p2p.PeerBehavior) (p2p.PeerConn, error) {
	c.accepts.Add(1)
	peer, err := c.Transport.Accept(ctx, b)
	if err != nil {
		c.failed <- err
	}

	return peer, err
}

// TestGnoAcceptLoopEnds checks that gno's accept loop ends when the transport is closed.
func TestGnoAcceptLoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &counting{Transport: Transport(failing{err: compat.ErrTransportClosed}), failed: make(chan error, 100)}
		sw := p2p.NewMultiplexSwitch(quiet{tr})
		sw.SetLogger(slog.New(slog.DiscardHandler))
		require.NoError(t, sw.Start())
		err := <-tr.failed
		require.ErrorIs(t, err, compat.ErrTransportClosed)
		require.ErrorIs(t, err, context.Canceled)
		require.EqualError(t, err, gnoTransportClosed)
		<-time.After(time.Minute) // simulated
		require.EqualValues(t, 1, tr.accepts.Load())
		require.NoError(t, sw.Stop())
		synctest.Wait()
	})
}

// TestGnoAcceptLoopDoesNotSpin checks that gno's accept loop calls Accept at most ten times
// a second while it fails.
func TestGnoAcceptLoopDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &counting{Transport: Transport(failing{err: errors.New("out of luck")}), failed: make(chan error, 1000)}
		sw := p2p.NewMultiplexSwitch(quiet{tr})
		sw.SetLogger(slog.New(slog.DiscardHandler))
		require.NoError(t, sw.Start())
		<-time.After(10 * time.Second) // simulated
		require.InDelta(t, 100, tr.accepts.Load(), 2)
		require.NoError(t, sw.Stop())
		synctest.Wait()
	})
}

// quiet is a transport for a switch that does not dial.
type quiet struct{ p2p.Transport }

func (quiet) NetAddress() gnotypes.NetAddress { return gnotypes.NetAddress{} }

func TestAcceptWithoutAPeer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	peer, err := Transport(failing{}).Accept(ctx, toBehavior{ours: newRecorder()})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, peer == nil)
	peer, err = Transport(failing{}).Accept(t.Context(), toBehavior{ours: newRecorder()})
	require.ErrorIs(t, err, errNoPeer)
	require.True(t, peer == nil)
}

// TestFromBehavior checks that defaults of channel descriptors are filled in.
func TestFromBehavior(t *testing.T) {
	r := newRecorder()
	b := fromBehavior{gno: toBehavior{ours: r}}
	descs := b.ReactorChDescriptors()
	require.Len(t, descs, 1)
	require.Equal(t, 8, descs[0].SendQueueCapacity)
	require.Equal(t, compat.DefaultRecvMessageCapacity, descs[0].RecvMessageCapacity)
	require.True(t, b.IsPersistentPeer("g1anybody"))
	require.False(t, b.IsPrivatePeer("g1anybody"))

	peer := newSink()
	b.HandlePeerError(peer, errors.New("failed"))
	require.Same(t, peer, await(t, r.failed))
	b.Reactors()[testChannel].Receive(testChannel, peer, []byte("message"))
	require.Equal(t, delivery{peer, "message"}, await(t, r.received))
}

// TestGnoSwitchRemovesAFlushedPeer checks that gno's switch removes a peer after FlushStop,
// as over its own transport.
func TestGnoSwitchRemovesAFlushedPeer(t *testing.T) {
	trA, trB := newLibp2pTransport(t), newLibp2pTransport(t)
	a, b := newGnoRecorder("a", testChannel), newGnoRecorder("b", testChannel)
	swA := newGnoSwitchOn(t, Transport(trA), a)
	swB := newGnoSwitchOn(t, Transport(trB), b)
	addr := Transport(trB).NetAddress()
	for range 2 { // the second time, the same ID is dialed again
		swA.DialPeers(&addr)
		peer := await(t, a.added)
		peer.FlushStop()
		swA.StopPeerForError(peer, errors.New("flushed"))
		require.Same(t, peer, await(t, a.removed))
		require.ErrorIs(t, peer.Stop(), gnoservice.ErrAlreadyStopped)
		peer.FlushStop() // the peer is already stopped
		swA.StopPeerForError(peer, errors.New("once more"))
		require.Empty(t, a.removed, "a peer is removed once")
		await(t, b.removed)
		awaitForgotten(t, swA, swB, addr.ID, Transport(trA).NetAddress().ID)
	}
}
