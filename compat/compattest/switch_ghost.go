package compattest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A node whose connection has gone silent, as after a power cut, is connected again under its
// ID without waiting for a ping timeout. The connection runs through a relay that stops
// passing bytes and keeps the sockets open.
func testGhost(t *testing.T, c *cluster) {
	hub := c.started(t)
	relay := newRelay(t, hub.addr.DialString())
	relayed := hub.address()
	relayed.Port = uint16(relay.listener.Addr().(*net.TCPAddr).Port)
	spec := identity()
	id := spec.Key.ID()
	start := func(hubAt *types.NetAddress) {
		n := c.nodeOf(t, spec, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{hubAt} })
		require.NoError(t, n.Start())
	}
	start(relayed)
	c.await(t, "the node is connected", func() bool { return hub.log.count(connected, id) == 1 })
	former := hub.Peers().Get(id)
	require.NotNil(t, former)

	relay.freeze()
	start(hub.address())
	c.await(t, "the node is connected again", func() bool { return hub.log.count(connected, id) == 2 })
	now := hub.Peers().Get(id)
	require.NotNil(t, now)
	require.NotSame(t, former, now)
	require.Len(t, hub.Peers().List(), 1)
	require.False(t, former.IsRunning())
}

// relay passes bytes between its clients and one target until it is frozen.
type relay struct {
	listener net.Listener
	frozen   context.Context
	freeze   context.CancelFunc
	wg       sync.WaitGroup

	mtx   sync.Mutex
	conns []net.Conn
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{listener: listener}
	r.frozen, r.freeze = context.WithCancel(context.Background())
	r.wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed by the cleanup
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				t.Errorf("relay: %v", err)

				return
			}
			r.pass(client, server)
		}
	})
	t.Cleanup(func() {
		r.freeze()
		_ = listener.Close()
		r.mtx.Lock()
		for _, c := range r.conns {
			_ = c.Close()
		}
		r.mtx.Unlock()
		r.wg.Wait()
	})

	return r
}

// pass copies both ways. A frozen relay drops what it reads and closes nothing.
func (r *relay) pass(a, b net.Conn) {
	r.mtx.Lock()
	r.conns = append(r.conns, a, b)
	r.mtx.Unlock()
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		r.wg.Go(func() {
			_, _ = io.Copy(unlessFrozen{way[1], r}, way[0])
			if r.frozen.Err() == nil {
				_ = way[1].Close()
			}
		})
	}
}

type unlessFrozen struct {
	net.Conn
	relay *relay
}

func (w unlessFrozen) Write(p []byte) (int, error) {
	if w.relay.frozen.Err() != nil {
		return len(p), nil
	}

	return w.Conn.Write(p)
}
