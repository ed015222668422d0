package dual_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
)

// Close ends what has not become a peer: connections of both stacks at every point of their
// beginning, a native peer that nobody has accepted, and a dial that listens.
func TestCloseEndsWhatHasBegun(t *testing.T) {
	t.Parallel()
	spec := loopbackSpec()
	node := kinds["dual"](t, spec, dual.WithQuiet(time.Hour))
	require.NoError(t, node.Listen(*spec.Info.NetAddress))
	addr := node.NetAddress()
	var conns []net.Conn
	for _, first := range [][]byte{nil, sniff.NativeStart[:1], sniff.NativeStart, sniff.Libp2pStart[:1], sniff.MultistreamHeader} {
		conn, err := net.Dial("tcp", addr.DialString())
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write(first)
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	peer := kinds["native"](t, loopbackSpec())
	t.Cleanup(func() { require.NoError(t, peer.Close()) })
	_, err := peer.Dial(timeout(t), addr, newBehavior())
	require.NoError(t, err)

	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	to, err := types.NewNetAddress(types.GenerateNodeKey().ID(), silent.Addr())
	require.NoError(t, err)
	dialed := make(chan error, 1)
	go func() {
		_, err := node.Dial(t.Context(), *to, newBehavior())
		dialed <- err
	}()
	conn, err := silent.Accept()
	require.NoError(t, err)
	defer conn.Close()

	require.NoError(t, node.Close())
	require.ErrorIs(t, <-dialed, compat.ErrTransportClosed)
	for _, conn := range conns {
		buf := make([]byte, 1<<10)
		for err = nil; err == nil; {
			_, err = conn.Read(buf)
		}
	}
}
