package native

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// fromConn is a connection from an address, for those who only ask for that.
type fromConn struct {
	net.Conn
	ip string
}

func (c *fromConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.ip), Port: 1} }

// visit takes a place for a connection from the address.
func visit(t *testing.T, a *places, ip string) (taken, evicted *place) {
	t.Helper()
	taken, evicted, err := a.take(&fromConn{ip: ip})
	require.NoError(t, err)

	return taken, evicted
}

func requireRefused(t *testing.T, a *places, ip string) {
	t.Helper()
	taken, evicted, err := a.take(&fromConn{ip: ip})
	require.ErrorIs(t, err, errTooManyHandshakes)
	require.Nil(t, taken)
	require.Nil(t, evicted)
}

func requireEmpty(t *testing.T, a *places) {
	t.Helper()
	require.Zero(t, a.total)
	require.Empty(t, a.groups)
	require.Zero(t, a.silent.Len())
}

func TestPlacesAreCounted(t *testing.T) {
	a := newPlaces(HandshakeLimits{Total: 4, PerIP: 2})
	var places []*place
	for _, ip := range []string{"10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"} {
		p, evicted := visit(t, a, ip)
		require.Nil(t, evicted)
		p.speak()
		p.speak()
		places = append(places, p)
	}
	requireRefused(t, a, "10.0.0.1")
	requireRefused(t, a, "10.0.0.3")

	for _, p := range places {
		require.False(t, p.leave())
		require.False(t, p.leave(), "a second call changes nothing")
		p.speak()
	}
	requireEmpty(t, a)
}

// In its own group a newcomer takes the place of whoever has been silent longest.
func TestPlacesEvictTheOldestSilentOfTheGroup(t *testing.T) {
	a := newPlaces(HandshakeLimits{Total: 10, PerIP: 3})
	other, _ := visit(t, a, "10.0.0.2")
	first, _ := visit(t, a, "10.0.0.1")
	second, _ := visit(t, a, "10.0.0.1")
	third, _ := visit(t, a, "10.0.0.1")
	first.speak()

	fourth, evicted := visit(t, a, "10.0.0.1")
	require.Same(t, second, evicted)
	require.True(t, evicted.leave(), "it learns that it was evicted")
	third.speak()
	fourth.speak()
	requireRefused(t, a, "10.0.0.1")
	require.Equal(t, 4, a.total)

	for _, p := range []*place{other, first, third, fourth} {
		require.False(t, p.leave())
	}
	requireEmpty(t, a)
}

// When all places are taken, the group that has most of them gives way.
func TestPlacesEvictFromTheMostCrowdedGroup(t *testing.T) {
	a := newPlaces(HandshakeLimits{Total: 6, PerIP: 4})
	lone, _ := visit(t, a, "10.0.0.9")
	oldest, _ := visit(t, a, "10.0.0.1")
	for range 3 {
		visit(t, a, "10.0.0.1")
	}
	visit(t, a, "10.0.0.2")

	_, evicted := visit(t, a, "10.0.0.3")
	require.Same(t, oldest, evicted)
	_, evicted = visit(t, a, "10.0.0.3")
	require.Equal(t, oldest.group, evicted.group)

	// Now 10.0.0.1 and 10.0.0.3 have two each: one more makes 10.0.0.3 the largest.
	_, evicted = visit(t, a, "10.0.0.3")
	require.Equal(t, netgroup.Host(netgroup.FromIP(net.IPv4(10, 0, 0, 3))), evicted.group)
	require.Equal(t, placeTaken, lone.state, "who has one place is the last to give way")
	require.Equal(t, 6, a.total)
}

// A newcomer takes nothing from a group that is no larger than its own.
func TestPlacesTakeNothingFromTheFew(t *testing.T) {
	a := newPlaces(HandshakeLimits{Total: 3, PerIP: 3})
	visit(t, a, "10.0.0.1")
	for range 2 {
		p, _ := visit(t, a, "10.0.0.2")
		p.speak()
	}
	requireRefused(t, a, "10.0.0.2")

	_, evicted := visit(t, a, "10.0.0.3")
	require.NotNil(t, evicted, "with nothing of its own it may take the place of one who is silent")
}

func TestPlacesGroupAddresses(t *testing.T) {
	a := newPlaces(HandshakeLimits{Total: 100, PerIP: 1})
	for _, same := range [][2]string{
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"},
		{"::ffff:10.0.0.1", "10.0.0.1"},
		{"::1", "::2"},
	} {
		first, evicted := visit(t, a, same[0])
		require.Nil(t, evicted)
		_, evicted = visit(t, a, same[1])
		require.Same(t, first, evicted)
	}
	for _, apart := range []string{"2001:db8:0:2::1", "10.0.0.2", "fe80::1"} {
		_, evicted := visit(t, a, apart)
		require.Nil(t, evicted)
	}
	unknown, _ := visit(t, a, "")
	_, evicted := visit(t, a, "")
	require.Same(t, unknown, evicted, "what has no IP is one group")
}

func TestHandshakeLimitsAreChecked(t *testing.T) {
	require.NoError(t, DefaultHandshakeLimits().Validate())
	for _, limits := range []HandshakeLimits{{}, {Total: 1}, {PerIP: 1}, {Total: -1, PerIP: 1}} {
		key := types.GenerateNodeKey()
		mt := NewMultiplexTransport(nodeInfo(key.ID(), "net"), *key, mconn.DefaultMConnConfig(), nil, WithHandshakeLimits(limits))
		require.ErrorIs(t, mt.Listen(loopback()), ErrInvalidLimits)
		require.NoError(t, mt.Close())

		relay := NewRelayTransport(*key, mconn.DefaultMConnConfig(), nil, WithHandshakeLimits(limits))
		require.ErrorIs(t, relay.Listen(loopback()), ErrInvalidLimits)
		require.NoError(t, relay.Close())
	}
}

// 200 connections that never say a word keep nobody out, though no deadline ends
// them and all come from the address of the honest peer.
func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	for name, limits := range map[string]HandshakeLimits{
		"by default":          DefaultHandshakeLimits(),
		"at the limit of all": {Total: 4, PerIP: 100},
		"with one place":      {Total: 1, PerIP: 1},
	} {
		t.Run(name, func(t *testing.T) {
			key := types.GenerateNodeKey()
			listener := NewMultiplexTransport(
				nodeInfo(key.ID(), "net"), *key, mconn.DefaultMConnConfig(), nil, WithHandshakeLimits(limits))
			listener.timeout = time.Hour
			t.Cleanup(func() { require.NoError(t, listener.Close()) })
			require.NoError(t, listener.Listen(loopback()))

			silent := make([]net.Conn, 200)
			for i := range silent {
				conn, err := net.Dial("tcp", dialString(listener))
				require.NoError(t, err)
				silent[i] = conn
				defer conn.Close()
			}
			dialer := newTransport(t, "net")
			dialer.timeout = time.Hour
			for range 3 {
				out, in := connect(t, dialer, listener, newBehavior(), newBehavior())
				dialer.Remove(out)
				listener.Remove(in)
			}

			// The newest silent one is still there, the oldest has given way.
			require.NoError(t, silent[0].SetReadDeadline(time.Now().Add(testTimeout)))
			require.False(t, holdsOn(t, silent[0]))
			if limits.Total > 1 {
				listener.places.mtx.Lock()
				defer listener.places.mtx.Unlock()
				require.Equal(t, min(limits.Total, limits.PerIP)-1, listener.places.total)
			}
		})
	}
}

// holdsOn reads all a silent connection gets, and reports whether it stayed open
// until the deadline.
func holdsOn(t *testing.T, conn net.Conn) bool {
	t.Helper()
	buf := make([]byte, 2*ephemeralSize)
	for {
		_, err := conn.Read(buf)
		if err == nil {
			continue
		}
		timeout, ok := err.(net.Error)

		return ok && timeout.Timeout()
	}
}

// Whoever has begun to speak keeps the place, however slowly it goes on.
func TestSpokenConnectionsKeepTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newTransport(t, "net")
		listener.places.limits = HandshakeLimits{Total: 2, PerIP: 2}
		near, far := newLink(addrA, addrB)
		slow := newRawPeer(t, far, types.GenerateNodeKey().PrivKey)
		listener.admit(near)
		slow.send(slow.ephemeral()[:1])
		synctest.Wait()

		var floods []*linkConn
		for range 200 {
			atListener, atFlood := newLink(addrA, addrB)
			listener.admit(atListener)
			floods = append(floods, atFlood)
		}
		synctest.Wait()
		for _, c := range floods[:199] {
			require.Error(t, c.out.writeErrOrGone())
		}
		slow.send(slow.ephemeral()[1:])
		slow.agree()
		slow.chunks(slow.auth(wire.AuthPlain))
		slow.receiveAuth()
		slow.chunks(slow.ownInfo(compat.DialectC))
		peer, err := listener.Accept(t.Context(), newBehavior())
		require.NoError(t, err)
		require.Equal(t, slow.id(), peer.ID())
		require.NoError(t, peer.CloseConn())

		<-time.After(HandshakeTimeout)
		synctest.Wait()
		requireEmpty(t, listener.places)
		require.Error(t, floods[199].out.writeErrOrGone(), "the deadline ends the last one")
	})
}

// A place is held until Accept takes the peer, and free again whatever happens.
func TestPlacesAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newTransport(t, "net")
		for _, greeting := range []string{"", "\x22", "GET / HTTP/1.1\r\n\r\n"} {
			near, far := newLink(addrA, addrB)
			listener.admit(near)
			_, err := far.Write([]byte(greeting))
			require.NoError(t, err)
			require.NoError(t, far.Close())
		}
		synctest.Wait()
		requireEmpty(t, listener.places)

		near, far := newLink(addrA, addrB)
		listener.admit(near)
		p := newRawPeer(t, far, types.GenerateNodeKey().PrivKey)
		p.authenticate(wire.AuthPlain)
		p.chunks(p.ownInfo(compat.DialectC))
		synctest.Wait()
		require.Equal(t, 1, listener.places.total, "nobody has accepted it yet")
		require.NoError(t, listener.Close())
		requireEmpty(t, listener.places)
		require.True(t, near.closed())
	})
}
