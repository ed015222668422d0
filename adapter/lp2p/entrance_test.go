package lp2p

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
)

// dialingFrom lets a node dial from the IP.
func dialingFrom(ip string) Option {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	transport := libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport(),
		tcp.WithDialerForAddr(func(multiaddr.Multiaddr) (tcp.ContextDialer, error) { return dialer, nil }))

	return WithTCP(transport, dialer.DialContext)
}

// newDialer returns a node that does not listen and dials from the IP.
func newDialer(t testing.TB, ip string) *node {
	t.Helper()
	key := types.GenerateNodeKey()
	tr, err := NewTransport(nodeInfo(key.ID()), *key, nil, dialingFrom(ip))
	require.NoError(t, err)

	return &node{Transport: tr, behavior: newBehavior(), key: key}
}

// crowd is a number of connections that begin in some way and then say nothing. Each comes
// again when it is closed.
type crowd struct {
	to    string
	first []byte
	pace  *time.Ticker // of those that come again

	mtx   sync.Mutex
	conns map[net.Conn]struct{} // nil once stopped
	wg    sync.WaitGroup
}

// startCrowd returns when each connection was made once. It ends with the test.
func startCrowd(t *testing.T, to string, first []byte, ips []string) *crowd {
	t.Helper()
	c := &crowd{to: to, first: first, pace: time.NewTicker(10 * time.Millisecond), conns: make(map[net.Conn]struct{})}
	t.Cleanup(c.stop)
	var begun sync.WaitGroup
	for _, ip := range ips {
		begun.Add(1)
		c.wg.Go(func() {
			began := sync.OnceFunc(begun.Done)
			defer began()
			for c.visit(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}, began) {
				<-c.pace.C
			}
		})
	}
	begun.Wait()

	return c
}

// visit holds a connection until it is closed, and reports whether to come again.
func (c *crowd) visit(dialer *net.Dialer, began func()) bool {
	conn, err := dialer.Dial("tcp", c.to)
	if err != nil {
		return c.goesOn() // the backlog of the socket is full
	}
	defer conn.Close()
	c.mtx.Lock()
	if c.conns == nil {
		c.mtx.Unlock()

		return false
	}
	c.conns[conn] = struct{}{}
	c.mtx.Unlock()
	_, _ = conn.Write(c.first) // it may have been closed already
	began()
	_, _ = io.Copy(io.Discard, conn)

	c.mtx.Lock()
	defer c.mtx.Unlock()
	delete(c.conns, conn)

	return c.conns != nil
}

func (c *crowd) goesOn() bool {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return c.conns != nil
}

func (c *crowd) stop() {
	c.mtx.Lock()
	for conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
	c.mtx.Unlock()
	c.wg.Wait()
	c.pace.Stop()
}

// crowdOf returns the IPs of a crowd.
func crowdOf(size int, ip func(i int) string) []string {
	ips := make([]string, size)
	for i := range ips {
		ips[i] = ip(i)
	}

	return ips
}

// Connections that prove nothing keep no honest node out, however many there are: from a
// few IPs, or from as many /64 of one site as there are places.
func TestHalfOpenConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	if !netnstest.Inside(t) {
		return
	}
	few := crowdOf(448, func(i int) string { return fmt.Sprintf("60.%d.1.1", i%7) })
	site := crowdOf(448, func(i int) string { return fmt.Sprintf("2a00:1:1:%x::1", i) })
	for name, c := range map[string]struct {
		to, honest string
		ips        []string
		first      []byte
	}{
		"silent, of 7 IPs":            {"8.8.8.8", "51.%d.1.1", few, nil},
		"silent, of one IPv6 48":      {"2a01::1", "2a02:%x::1", site, nil},
		"multistream, of 7 IPs":       {"8.8.8.8", "51.%d.1.1", few, sniff.MultistreamHeader},
		"one byte, of one IPv6 48":    {"2a01::1", "2a02:%x::1", site, sniff.Libp2pStart[:1]},
		"multistream, of one IPv6 48": {"2a01::1", "2a02:%x::1", site, sniff.MultistreamHeader},
	} {
		t.Run(name, func(t *testing.T) {
			listener, _ := newLoggedNode(t, net.ParseIP("::"))
			listener.acceptLoop(t)
			addr := listener.NetAddress()
			addr.IP = net.ParseIP(c.to)
			startCrowd(t, addr.DialString(), c.first, c.ips)
			for i := range 20 {
				honest := newDialer(t, fmt.Sprintf(c.honest, i))
				p, err := honest.Dial(timeout(t), addr, honest.behavior)
				require.NoError(t, err, "honest dial %d", i)
				require.NoError(t, p.Start())
				require.NoError(t, honest.Close())
			}
		})
	}
}
