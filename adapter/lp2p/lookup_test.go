package lp2p

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A peer that is not at its address is dialed where it says that it is, and only then,
// and only that peer. What others say does not count.
func TestDialTriesOtherAddresses(t *testing.T) {
	a, b, c := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	b.acceptLoop(t)
	c.acceptLoop(t)
	gone := newNode(t, nil)
	stale := gone.NetAddress()
	require.NoError(t, gone.Close())
	stale.ID = b.key.ID()
	id, err := p2paddr.Learn(a.book, b.Host().ID())
	require.NoError(t, err)
	require.Equal(t, b.key.ID(), id)

	_, err = a.Dial(timeout(t), stale, a.behavior)
	require.Error(t, err)
	other := c.NetAddress()
	other.ID = b.key.ID()
	announced := addrbook.Source{ID: b.key.ID()}
	require.Equal(t, 1, a.book.Add(announced, &other))
	_, err = a.Dial(timeout(t), stale, a.behavior)
	require.Error(t, err, "somebody else answers there")
	require.Equal(t, 1, a.book.Of(b.key.ID())[0].Failures)

	right := b.NetAddress()
	require.Equal(t, 1, a.book.Add(addrbook.Source{ID: c.key.ID()}, &right))
	_, err = a.Dial(timeout(t), stale, a.behavior)
	require.Error(t, err, "it is only told")

	require.Zero(t, a.book.Add(announced, &right))
	p, err := a.Dial(timeout(t), stale, a.behavior)
	require.NoError(t, err)
	require.Equal(t, b.key.ID(), p.ID())
	require.Equal(t, b.NetAddress().Port, p.SocketAddr().Port, "where it was found")
	require.NoError(t, p.CloseConn())

	require.True(t, a.book.Of(b.key.ID())[0].HasAnswered())
	require.Equal(t, types.StackLibp2p, a.book.LastStack(b.key.ID()))
}

// A holder keeps a connection open beyond its sessions. The last one to release it closes
// it if this node has opened it.
func TestHeldConnections(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	a.Host().Peerstore().AddAddrs(b.Host().ID(), b.Host().Addrs(), peerstore.TempAddrTTL)
	conn, release, err := inner{a.Transport}.Connect(timeout(t), b.Host().ID())
	require.NoError(t, err)
	require.False(t, a.Host().ConnManager().IsProtected(b.Host().ID(), ""))

	pa, pb := connect(t, a, b)
	require.True(t, a.Host().ConnManager().IsProtected(b.Host().ID(), ""), "it has a session")
	require.NoError(t, pa.Stop())
	stopped(t, pb)
	// The remote may still close its end, which has no holder.
	remote := b.Host().Network().ConnsToPeer(a.Host().ID())
	release()
	require.Eventually(t, conn.IsClosed, patience, patience/1000)
	for _, c := range remote {
		require.Eventually(t, c.IsClosed, patience, patience/1000)
	}
}

func TestInboundConnectionIsTheRemotes(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	a.Host().Peerstore().AddAddrs(b.Host().ID(), b.Host().Addrs(), peerstore.TempAddrTTL)
	conn, release, err := inner{a.Transport}.Connect(timeout(t), b.Host().ID())
	require.NoError(t, err)
	var inbound network.Conn
	require.Eventually(t, func() bool {
		conns := b.Host().Network().ConnsToPeer(a.Host().ID())
		if len(conns) == 1 {
			inbound = conns[0]
		}

		return len(conns) == 1
	}, patience, patience/1000)
	done, ok := inner{b.Transport}.Hold(inbound)
	require.True(t, ok)
	done()
	require.False(t, inbound.IsClosed())
	require.Empty(t, b.conns, "nothing is kept of it")
	require.False(t, conn.IsClosed())
	release()
	require.True(t, conn.IsClosed())
}

func TestResolve(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	info, err := inner{a.Transport}.Resolve(timeout(t), b.NetAddress())
	require.NoError(t, err)
	require.Equal(t, b.Host().ID(), info.ID)
	require.Equal(t, b.Host().Addrs(), info.Addrs)
	wrong := b.NetAddress()
	wrong.ID = types.GenerateNodeKey().ID()
	_, err = inner{a.Transport}.Resolve(timeout(t), wrong)
	var mismatch *compat.WrongIDError
	require.ErrorAs(t, err, &mismatch)
	require.NoError(t, a.Close())
	_, err = inner{a.Transport}.Resolve(timeout(t), b.NetAddress())
	require.ErrorIs(t, err, compat.ErrTransportClosed)
	_, _, err = inner{a.Transport}.Connect(timeout(t), b.Host().ID())
	require.ErrorIs(t, err, compat.ErrTransportClosed)
}
