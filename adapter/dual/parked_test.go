package dual

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two peers may be dialed at one address at the same time. Each dial gets back what the other
// stack has not used, to close it.
func TestParkedConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	const address = "192.0.2.1:26656"
	var p parked
	a, b := &net.TCPConn{}, &net.TCPConn{}
	aTaken, bTaken := p.offer(address, a), p.offer(address, b)
	require.Same(t, a, p.take(address))
	require.True(t, aTaken())
	require.False(t, bTaken())
	require.Nil(t, p.take(address))

	aTaken, bTaken = p.offer(address, a), p.offer(address, b)
	require.False(t, aTaken())
	require.False(t, bTaken())
	require.Empty(t, p.conns)
}
