package dropin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func TestTransportDelivers(t *testing.T) {
	a, b := newRecorder(), newRecorder()
	out, in := dialed(t, a, b)
	require.NoError(t, out.Start())
	require.NoError(t, in.Start())

	require.True(t, out.Send(testChannel, []byte("ping")))
	got := await(t, b.received)
	require.Equal(t, "ping", got.msg)
	require.Same(t, in, got.peer, "Receive names the peer that Accept returned")

	require.True(t, in.TrySend(testChannel, []byte("pong")))
	got = await(t, a.received)
	require.Equal(t, "pong", got.msg)
	require.Same(t, out, got.peer, "Receive names the peer that Dial returned")

	require.NoError(t, out.CloseConn())
	require.Same(t, in, await(t, b.failed), "and so does HandlePeerError")
	require.Same(t, out, await(t, a.failed))
}

func TestTransportNetAddress(t *testing.T) {
	gno := newGnoTransport(t)
	addr, want := FromTransport(gno).NetAddress(), gno.NetAddress()
	require.Equal(t, want.String(), addr.String())
	require.NotZero(t, addr.Port)
}

func TestDialFails(t *testing.T) {
	tr := FromTransport(newGnoTransport(t))
	gone := newGnoTransport(t)
	addr := FromTransport(gone).NetAddress()
	require.NoError(t, gone.Close())
	peer, err := tr.Dial(t.Context(), addr, newRecorder())
	require.Error(t, err)
	require.True(t, peer == nil)
}

// counter is a reactor that does not allocate.
type counter struct {
	compat.BaseReactor
	got int
}

func (c *counter) Receive(_ byte, _ compat.PeerConn, msg []byte) { c.got += len(msg) }

func TestNoAllocationPerMessage(t *testing.T) {
	out, _ := dialed(t, newRecorder(), newRecorder())
	var (
		gno     = PeerConn(out)
		there   = PeerConn(&wrapped{out})
		count   = &counter{}
		reactor = Reactor(count)
		msg     = []byte("message")
	)
	allocs := testing.AllocsPerRun(100, func() {
		reactor.Receive(testChannel, gno, msg)
		there.TrySend(testChannel, msg) // false: the peer is not started
	})
	require.Zero(t, allocs)
	require.Positive(t, count.got)
}
