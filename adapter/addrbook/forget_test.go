package addrbook_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestForget(t *testing.T) {
	book, err := addrbook.Open("", types.NetAddress{ID: types.GenerateNodeKey().ID()})
	require.NoError(t, err)
	known := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(1, 2, 3, 4), Port: 5}
	other := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(5, 6, 7, 8), Port: 5}
	book.Configure(known.ID, known)
	book.Add(addrbook.Source{ID: other.ID, IP: other.IP}, &other)
	book.Forget(known.ID)
	book.Forget(types.GenerateNodeKey().ID())
	require.Empty(t, book.Of(known.ID))
	require.Len(t, book.Of(other.ID), 1)

	require.Equal(t, 1, book.Add(addrbook.Source{ID: known.ID, IP: known.IP}, &known), "it may come back")
}
