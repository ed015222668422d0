package compattest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxPacket is the size of the largest datagram.
const maxPacket = 64 << 10

// A node whose connection has gone silent, as after a power cut, is connected again under its
// ID without waiting for a ping timeout. The connection runs through a relay that stops
// passing bytes and keeps the sockets open. It also holds the one place that the hub has for an
// IP, as nodes do by default, and the node comes back from the same IP.
func testGhost(t *testing.T, c *cluster) {
	hub := c.started(t, func(s *nodeSetup) { s.AllowDuplicateIP = false })
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
	silent := time.Now()
	start(hub.address())
	c.await(t, "the node is connected again", func() bool { return hub.log.count(connected, id) == 2 })
	t.Logf("%s: connected again %s after the connection fell silent", t.Name(), time.Since(silent).Round(time.Millisecond))
	now := hub.Peers().Get(id)
	require.NotNil(t, now)
	require.NotSame(t, former, now)
	require.Len(t, hub.Peers().List(), 1)
	require.False(t, former.IsRunning())

	stranger := c.started(t)
	stranger.DialPeers(hub.address())
	c.awaitRefused(t, stranger, hub.id(), 1)
	require.Zero(t, hub.log.count(addPeer, stranger.id()), "the IP has one place")
}

// relay passes bytes between its clients and one target until it is frozen: those of TCP
// connections, and the datagrams that come to the UDP port of the same number.
type relay struct {
	target   string
	listener net.Listener
	packets  *net.UDPConn
	frozen   context.Context
	freeze   context.CancelFunc
	wg       sync.WaitGroup

	mtx   sync.Mutex
	conns []net.Conn
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	r := &relay{target: target}
	r.listener, r.packets = listenBoth(t)
	r.frozen, r.freeze = context.WithCancel(context.Background())
	r.wg.Go(func() {
		for {
			client, err := r.listener.Accept()
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
	r.wg.Go(func() {
		if err := r.passPackets(); err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	t.Cleanup(func() {
		r.freeze()
		_ = r.listener.Close()
		_ = r.packets.Close()
		r.mtx.Lock()
		for _, c := range r.conns {
			_ = c.Close()
		}
		r.mtx.Unlock()
		r.wg.Wait()
	})

	return r
}

// listenBoth listens at one port for TCP and UDP.
func listenBoth(t *testing.T) (net.Listener, *net.UDPConn) {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		at := listener.Addr().(*net.TCPAddr)
		if packets, err := net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port}); err == nil {
			return listener, packets
		}
		_ = listener.Close() // somebody else has the UDP port
	}
	require.FailNow(t, "no port is free for both")

	return nil, nil
}

// pass copies both ways. A frozen relay drops what it reads and closes nothing.
func (r *relay) pass(a, b net.Conn) {
	r.keep(a, b)
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		r.wg.Go(func() {
			_, _ = io.Copy(unlessFrozen{way[1], r}, way[0])
			if r.frozen.Err() == nil {
				_ = way[1].Close()
			}
		})
	}
}

func (r *relay) keep(conns ...net.Conn) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.conns = append(r.conns, conns...)
}

// passPackets passes datagrams until the cleanup, those of each client from a port of their own.
func (r *relay) passPackets() error {
	servers := make(map[netip.AddrPort]net.Conn)
	buf := make([]byte, maxPacket)
	for {
		n, from, err := r.packets.ReadFromUDPAddrPort(buf)
		if err != nil {
			return nil // closed by the cleanup
		}
		server := servers[from]
		if server == nil {
			if server, err = net.Dial("udp", r.target); err != nil {
				return err
			}
			r.keep(server)
			servers[from] = server
			r.wg.Go(func() { r.answer(from, server) })
		}
		_, _ = unlessFrozen{server, r}.Write(buf[:n]) // a lost datagram is sent again
	}
}

// answer passes the datagrams of the target to the client.
func (r *relay) answer(client netip.AddrPort, server net.Conn) {
	buf := make([]byte, maxPacket)
	for {
		n, err := server.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && r.frozen.Err() == nil { // else nobody listens at the target now
			_, _ = r.packets.WriteToUDPAddrPort(buf[:n], client)
		}
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
