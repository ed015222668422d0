package lp2p

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A blocked node loses its connection also if that is used for relaying or discovery.
func TestBlockEndsHeldConnections(t *testing.T) {
	relay, inside := hidden(t)
	p, _ := connect(t, inside, relay)
	c := p.s.conn
	require.NoError(t, relay.Block(inside.key.ID()))
	requireBanned(t, inside.failure(t).err, true)
	require.Eventually(t, c.IsClosed, patience, time.Millisecond)

	n, r := newNode(t, nil), newRaw(t)
	_, _, _, q := r.session(n)
	release, ok := inner{n.Transport}.Hold(q.s.conn)
	require.True(t, ok)
	defer release()
	require.NoError(t, n.Block(r.key.ID()))
	require.Eventually(t, q.s.conn.IsClosed, patience, time.Millisecond)
}

// A relay refuses connections to a peer that has become private after it reserved.
func TestRelayIntroducesNobodyToPrivate(t *testing.T) {
	relay, inside := hidden(t)
	acl := relayACL{&relay.opts.nat}
	require.True(t, acl.AllowConnect("", nil, inside.Host().ID()))
	var served compat.PeerBehavior = keepsPrivate{relay.behavior, []types.ID{inside.key.ID()}}
	relay.served.Store(&served)
	require.False(t, acl.AllowConnect("", nil, inside.Host().ID()))
	require.True(t, acl.AllowConnect("", nil, newRaw(t).host.ID()))
}

// A host name is checked by its IP at the time of the dial.
func TestBlockedIPBehindAName(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	b.acceptLoop(t)
	require.NoError(t, a.BlockIP(net.IPv4(192, 0, 2, 1)))
	addr := b.NetAddress()
	addr.Hostname, addr.IP = "localhost", net.IPv4(192, 0, 2, 1)
	p, err := a.Dial(t.Context(), addr, a.behavior)
	require.NoError(t, err)
	require.NoError(t, p.CloseConn())

	c := newNode(t, nil)
	require.NoError(t, c.BlockIP(net.IPv4(127, 0, 0, 1)))
	require.NoError(t, c.BlockIP(net.IPv6loopback))
	_, err = c.Dial(t.Context(), addr, c.behavior)
	requireBanned(t, err, false)
}
