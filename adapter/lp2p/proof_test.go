package lp2p

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A peer that is connected already is not said to be at an address where it does not
// answer, whoever told that address.
func TestSharedConnectionProvesNoAddress(t *testing.T) {
	a, b, other := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	connect(t, b, a) // opened by b
	_, err := p2paddr.Learn(a.book, b.Host().ID())
	require.NoError(t, err)
	b.acceptLoop(t)

	elsewhere := types.NetAddress{ID: b.key.ID(), IP: net.IPv4(127, 0, 0, 1), Port: other.NetAddress().Port}
	_, err = a.Dial(timeout(t), elsewhere, a.behavior)
	var wrong *compat.WrongIDError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, other.key.ID(), wrong.Found)

	gone := newNode(t, nil)
	nowhere := types.NetAddress{ID: b.key.ID(), IP: net.IPv4(127, 0, 0, 1), Port: gone.NetAddress().Port}
	require.NoError(t, gone.Close())
	_, err = a.Dial(timeout(t), nowhere, a.behavior)
	var op *net.OpError
	require.ErrorAs(t, err, &op)

	// Where it answers it is found, and the connection is shared all the same.
	p, err := a.dial(t, b)
	require.NoError(t, err)
	at := b.NetAddress()
	require.Equal(t, at.String(), p.SocketAddr().String())
	require.Len(t, a.Host().Network().Conns(), 1)
	require.NoError(t, p.CloseConn())

	// And so at an address that the peer has announced.
	require.Zero(t, a.book.Add(addrbook.Source{ID: b.key.ID()}, &at))
	found, err := a.Dial(timeout(t), nowhere, a.behavior)
	require.NoError(t, err)
	require.Equal(t, at.String(), found.SocketAddr().String())
	require.NoError(t, found.CloseConn())
}
