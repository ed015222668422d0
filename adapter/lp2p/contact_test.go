package lp2p

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
)

// metConn is a connection to a peer at an address.
type metConn struct {
	transport.CapableConn
	id     peer.ID
	at     multiaddr.Multiaddr
	closed bool
}

func (c *metConn) RemotePeer() peer.ID                  { return c.id }
func (c *metConn) RemoteMultiaddr() multiaddr.Multiaddr { return c.at }
func (c *metConn) IsClosed() bool                       { return c.closed }
func (c *metConn) Close() error                         { c.closed = true; return nil }

// A dial takes a connection to its peer at its address only, once, and what no dial has taken is
// closed.
func TestMetConnections(t *testing.T) {
	at := multiaddr.StringCast("/ip4/192.0.2.1/tcp/26656")
	const address = "192.0.2.1:26656"
	var m contacts
	a, b, dead := &metConn{id: "a", at: at}, &metConn{id: "b", at: at}, &metConn{id: "d", at: at}
	leaveA, leaveB, leaveDead := m.offer(a), m.offer(b), m.offer(dead)
	require.Nil(t, m.take("192.0.2.1:1", "a"))
	require.Nil(t, m.take(address, "c"))
	require.Same(t, b, m.take(address, "b"))
	require.Nil(t, m.take(address, "b"))
	dead.closed = true
	require.Nil(t, m.take(address, "d"), "the remote has closed it")
	for _, leave := range []func(){leaveA, leaveB, leaveDead} {
		leave()
	}
	require.True(t, a.closed)
	require.False(t, b.closed)
	require.Empty(t, m.conns)
}

// A first contact uses one connection, also where several dial the same peer at once, and
// leaves nothing behind.
func TestFirstContactsAtOnce(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	b.acceptLoop(t)
	done := make(chan error)
	const dials = 4
	for range dials {
		go func() {
			_, err := a.DialAs(timeout(t), b.NetAddress(), delegated(a), a.behavior)
			done <- err
		}()
	}
	for range dials {
		require.NoError(t, <-done)
	}
	dialer := a.contactDialer()
	require.NotNil(t, dialer)
	require.Empty(t, dialer.contacts.conns)
	require.Len(t, a.Host().Network().ConnsToPeer(b.Host().ID()), 1)
}

// With QUIC a peer is asked and dialed apart.
func TestFirstContactOverQUIC(t *testing.T) {
	a, b := newNode(t, nil, WithQUIC()), newNode(t, nil, WithQUIC())
	require.Nil(t, a.contactDialer())
	p, _ := connect(t, a, b)
	require.Equal(t, network.DirOutbound, p.s.conn.Stat().Direction)
}
