package lp2p

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// What is under way when Close begins does not hold it up, however long the caller would
// wait: neither a connection that is in use, nor the look-up of a node that does not answer.
func TestCloseEndsWhatDiscoveryAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		server, client := memnet.newNode(t, net.IPv4(10, 0, 0, 1)), memnet.newNode(t, net.IPv4(10, 0, 0, 2))
		require.True(t, client.open(t, server))
		mute := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(10, 0, 0, 3), Port: memPort}
		memnet.mtx.Lock()
		memnet.listeners[mute.DialString()] = &memListener{backlog: make(chan *memConn, 1)}
		memnet.mtx.Unlock()
		resolved := make(chan error, 1)
		go func() {
			_, err := inner{client.Transport}.Resolve(context.Background(), mute)
			resolved <- err
		}()
		synctest.Wait()

		client.sessions.alive.Add(1) // as a call of Receive that goes on
		closed := make(chan error, 1)
		go func() { closed <- client.Close() }()
		synctest.Wait() // Close has told all sessions, and waits
		require.NotEmpty(t, resolved, "no time has passed")
		require.ErrorIs(t, <-resolved, context.Canceled)
		_, err := client.dialPeer(context.Background(), server.Host().ID(), nil, client.hold)
		require.ErrorIs(t, err, compat.ErrTransportClosed)
		client.sessions.alive.Done()
		require.NoError(t, <-closed)
	})
}
