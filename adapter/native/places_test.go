package native

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestHandshakeLimitsAreChecked(t *testing.T) {
	require.NoError(t, DefaultHandshakeLimits().Validate())
	for _, limits := range []HandshakeLimits{{}, {Total: 1}, {PerIP: 1}, {Total: -1, PerIP: 1}, {Total: 1, PerIP: 1, Configured: -1}} {
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
				require.Equal(t, min(limits.Total, limits.PerIP)-1, listener.places.Taken())
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

// Whoever has begun to speak keeps the place, however slowly it goes on, while others of
// its host are silent.
func TestSpokenConnectionsKeepTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener, _ := newLoggedTransport(t, WithHandshakeTimeout(HandshakeTimeout),
			WithHandshakeLimits(HandshakeLimits{Total: 2, PerIP: 2}))
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
		require.Zero(t, listener.places.Taken())
		require.Error(t, floods[199].out.writeErrOrGone(), "the deadline ends the last one")
	})
}

// A place is held until Accept takes the peer, and free again whatever happens.
func TestPlacesAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newDefaultTransport(t, "net")
		for _, greeting := range []string{"", "\x22", "GET / HTTP/1.1\r\n\r\n"} {
			near, far := newLink(addrA, addrB)
			listener.admit(near)
			_, err := far.Write([]byte(greeting))
			require.NoError(t, err)
			require.NoError(t, far.Close())
		}
		synctest.Wait()
		require.Zero(t, listener.places.Taken())

		near, far := newLink(addrA, addrB)
		listener.admit(near)
		p := newRawPeer(t, far, types.GenerateNodeKey().PrivKey)
		p.authenticate(wire.AuthPlain)
		p.chunks(p.ownInfo(compat.DialectC))
		synctest.Wait()
		require.Equal(t, 1, listener.places.Taken(), "nobody has accepted it yet")
		require.NoError(t, listener.Close())
		require.Zero(t, listener.places.Taken())
		require.True(t, near.closed())
	})
}
