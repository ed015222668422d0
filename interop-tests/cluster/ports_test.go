package cluster

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// takePort listens at the address until the end of the test.
func takePort(t *testing.T, addr string) {
	t.Helper()
	tcp, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tcp.Close()) })
}

// TestPortIsTaken checks that the error names the node whose port is taken, and that nothing
// of the node is left running.
func TestPortIsTaken(t *testing.T) {
	for _, stack := range []Stack{Gno(), Native(), Libp2p(), Libp2pQUIC(), GnoOnLibp2p()} {
		t.Run(stack.Name, func(t *testing.T) {
			n := newNetwork(t, nil)
			_, err := Of(stack, 2).Build(n)
			require.NoError(t, err)
			second := n.Members()[1]
			takePort(t, second.Address.DialString())
			err = n.Start()
			require.ErrorContains(t, err, second.Name)
			require.ErrorContains(t, err, second.Address.DialString())
			require.ErrorContains(t, err, "address already in use")
			require.True(t, n.Members()[0].Running())
			require.False(t, second.Running())
			require.NoError(t, n.Stop())
			require.NoError(t, awaitNoLeaks())
		})
	}
	t.Run("bridge", func(t *testing.T) {
		n := newNetwork(t, nil)
		b, err := bridgedPair().Build(n)
		require.NoError(t, err)
		takePort(t, b.spec.Libp2p)
		require.ErrorContains(t, b.Start(), "bridge has ended")
	})
}
