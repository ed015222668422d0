package dual

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two dials may go to one IP:port at a time, since remotes tell other IDs there. Each of their
// connections is used once or is left to the dial that has opened it, which closes it.
func TestParkedConnectionsOfOneAddress(t *testing.T) {
	var p parked
	a, _ := net.Pipe()
	b, _ := net.Pipe()
	c, _ := net.Pipe()
	takenA, takenB, takenC := p.offer("1.2.3.4:5", a), p.offer("1.2.3.4:5", b), p.offer("1.2.3.5:5", c)
	require.Equal(t, a, p.take("1.2.3.4:5"))
	require.True(t, takenA())
	require.False(t, takenB())
	require.Nil(t, p.take("1.2.3.4:5"))
	require.True(t, takenB(), "it was taken back")
	require.False(t, takenC())
	require.Empty(t, p.conns)
}
