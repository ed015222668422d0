package dropin

import (
	"sync"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// wrapped is a reactor's wrapper of a peer.
type wrapped struct{ compat.PeerConn }

// gnoWrapped is a gno reactor's wrapper of a peer.
type gnoWrapped struct{ p2p.PeerConn }

func TestNilPeer(t *testing.T) {
	require.True(t, FromPeerConn(nil) == nil)
	require.True(t, PeerConn(nil) == nil)
}

func TestCounterpartIsUnique(t *testing.T) {
	out, _ := dialed(t, newRecorder(), newRecorder())
	gno := PeerConn(out)
	require.Same(t, out, FromPeerConn(gno))
	require.Same(t, gno, PeerConn(FromPeerConn(gno)))

	// A wrapper of ours around the counterpart of a gno peer.
	ours := &wrapped{out}
	there := PeerConn(ours)
	require.NotSame(t, gno, there)
	require.Same(t, there, PeerConn(ours))
	require.Same(t, ours, FromPeerConn(there))

	// Two wrappers of gno's around that.
	for range 2 {
		theirs := &gnoWrapped{there}
		here := FromPeerConn(theirs)
		require.NotSame(t, ours, here)
		require.Same(t, here, FromPeerConn(theirs))
		require.Same(t, theirs, PeerConn(here))
	}
	require.Same(t, out, FromPeerConn(gno), "the wrappers have not changed what was")
}

func TestConcurrentConversions(t *testing.T) {
	out, _ := dialed(t, newRecorder(), newRecorder())
	var (
		theirs = &gnoWrapped{PeerConn(out)}
		ours   = &wrapped{out}
		made   [8]compat.PeerConn
		gone   [8]p2p.PeerConn
		wg     sync.WaitGroup
	)
	for i := range made {
		wg.Go(func() { made[i], gone[i] = FromPeerConn(theirs), PeerConn(ours) })
	}
	wg.Wait()
	for i := range made {
		require.Same(t, made[0], made[i])
		require.Same(t, gone[0], gone[i])
	}
}

func TestPeerDescribesTheSame(t *testing.T) {
	out, in := dialed(t, newRecorder(), newRecorder())
	gno := PeerConn(out)
	require.Equal(t, string(gno.ID()), string(out.ID()))
	require.Equal(t, gno.SocketAddr().String(), out.SocketAddr().String())
	require.Same(t, out.SocketAddr(), out.SocketAddr())
	require.Equal(t, NodeInfo(out.NodeInfo()), gno.NodeInfo())
	require.Len(t, out.Status().Channels, 1)
	require.True(t, out.IsOutbound())
	require.False(t, in.IsOutbound())
	require.True(t, out.IsPersistent())
	require.False(t, out.IsPrivate())

	// The same through a wrapper that is converted to gno's type.
	there := PeerConn(&wrapped{out})
	require.Equal(t, gno.ID(), there.ID())
	require.Equal(t, gno.SocketAddr(), there.SocketAddr())
	require.Equal(t, gno.NodeInfo(), there.NodeInfo())
	require.Len(t, there.Status().Channels, 1)
}

func TestPeerIsAService(t *testing.T) {
	out, in := dialed(t, newRecorder(), newRecorder())
	require.ErrorIs(t, out.Stop(), service.ErrNotStarted)
	require.NoError(t, out.Start())
	require.NoError(t, in.Start())
	require.ErrorIs(t, out.Start(), service.ErrAlreadyStarted)
	require.ErrorIs(t, out.Reset(), service.ErrAlreadyStarted)
	require.NoError(t, out.Stop())
	require.ErrorIs(t, out.Stop(), service.ErrAlreadyStopped)
	require.ErrorIs(t, out.Reset(), service.ErrNoReset)
	require.False(t, out.IsRunning())
	<-out.Quit()
}

func TestValuesArePassedOn(t *testing.T) {
	out, _ := dialed(t, newRecorder(), newRecorder())
	require.Nil(t, out.Get("key"))
	value := &types.NetAddress{}
	out.Set("key", value)
	require.Same(t, value, out.Get("key"))
	require.Same(t, value, PeerConn(out).Get("key"))
}
