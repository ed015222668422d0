package lp2p

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// listenAt returns a node that listens at the IP and port.
func listenAt(t *testing.T, ip net.IP, port uint16) *node {
	t.Helper()
	key := types.GenerateNodeKey()
	tr, err := NewTransport(nodeInfo(key.ID()), *key, nil, WithTimeouts(patientTimeouts()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(types.NetAddress{IP: ip, Port: port}))

	return &node{Transport: tr, behavior: newBehavior(), key: key}
}

// A name leads to its node whatever answers at the other addresses of the name, in whatever
// order: nothing, another node, a web server, one that hangs up, or one that says nothing.
// It does so by a probe when only the TM2 ID of the peer is known, and by libp2p when its key is.
// The cases wait for the silent one beside each other.
func TestDialTriesEveryAddressOfAName(t *testing.T) {
	names := dnstest.Install(t)
	ip := func(last byte) net.IP { return net.IPv4(127, 0, 0, last) }
	others := []net.IP{ip(2), ip(3), ip(4), ip(5)}
	for _, right := range []net.IP{ip(6), net.IPv6loopback} {
		all := append(slices.Clone(others), right)
		for name, order := range map[string][]net.IP{
			"last":  append([]net.IP{ip(7)}, all...), // nothing is at 127.0.0.7
			"first": {right, ip(5), ip(2)},
		} {
			port := stacktest.FreePortAt(t, all...)
			listener := listenAmongOthers(t, others, right, port)
			addr := types.NetAddress{ID: listener.key.ID(), Hostname: fmt.Sprintf("%s-%d.example", name, port), Port: port}
			names.Set(addr.Hostname, order...)
			for _, known := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s, known %t", right, name, known), func(t *testing.T) {
					t.Parallel()
					requireReached(t, listener, addr, right, known)
				})
			}
		}
	}
}

// listenAmongOthers returns a node at the IP. At the four others are another node, a web server, one
// that hangs up, and one that says nothing.
func listenAmongOthers(t *testing.T, others []net.IP, right net.IP, port uint16) *node {
	t.Helper()
	listenAt(t, others[0], port)
	stacktest.AnswerAt(t, others[1], port, func(conn net.Conn) {
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) // the dialer may have gone already
	})
	stacktest.AnswerAt(t, others[2], port, func(net.Conn) {})
	mute := make(chan struct{})
	stacktest.AnswerAt(t, others[3], port, func(net.Conn) { <-mute })
	t.Cleanup(func() { close(mute) })
	listener := listenAt(t, right, port)
	listener.acceptLoop(t)

	return listener
}

// requireReached requires that a node which may know the key of the listener reaches it at the IP by its
// name, and learns the key.
func requireReached(t *testing.T, listener *node, addr types.NetAddress, right net.IP, known bool) {
	t.Helper()
	timeouts := patientTimeouts()
	timeouts.Dial = 10 * time.Second // of which each address has a part, also on a busy machine
	dialer := newNode(t, nil, WithTimeouts(timeouts))
	if known {
		_, err := p2paddr.Learn(dialer.book, listener.Host().ID())
		require.NoError(t, err)
	}
	p, err := dialer.Dial(timeout(t), addr, dialer.behavior)
	require.NoError(t, err)
	require.Equal(t, right.String(), p.SocketAddr().IP.String())
	_, learned := p2paddr.Known(dialer.book, addr.ID)
	require.True(t, learned)
	dialer.Remove(p)
	require.Eventually(t, func() bool {
		return dialer.Host().Network().Connectedness(listener.Host().ID()) != network.Connected
	}, patience, time.Millisecond)
}

// silentDial is how a dial of a name has ended that leads to the addresses in this order.
type silentDial struct {
	order []net.IP
	err   error
}

// A peer that may still be at a silent address of its name does not look gone.
func TestSilenceOutranksAWrongNode(t *testing.T) {
	ip := func(last byte) net.IP { return net.IPv4(127, 0, 0, last) }
	port := stacktest.FreePortAt(t, ip(2), ip(5))
	listenAt(t, ip(2), port)
	mute := make(chan struct{})
	stacktest.AnswerAt(t, ip(5), port, func(net.Conn) { <-mute })
	t.Cleanup(func() { close(mute) })
	names := dnstest.Install(t)
	names.Set("wrong.example", ip(2), ip(7))
	orders := map[string][]net.IP{"last.example": {ip(2), ip(5), ip(7)}, "first.example": {ip(5), ip(2)}}
	for name, order := range orders {
		names.Set(name, order...)
	}
	timeouts := DefaultTimeouts()
	timeouts.Dial = 10 * time.Second // of which each address has a part, also on a busy machine
	absent := newNode(t, nil)
	addr := types.NetAddress{ID: absent.key.ID(), Port: port}
	var waiting []<-chan silentDial // beside each other
	for _, known := range []bool{false, true} {
		for _, opts := range [][]Option{nil, {WithQUIC()}} {
			newDialer := func() *node {
				dialer := newNode(t, nil, append(opts, WithTimeouts(timeouts))...)
				if known {
					_, err := p2paddr.Learn(dialer.book, absent.Host().ID())
					require.NoError(t, err)
				}

				return dialer
			}
			if opts == nil { // UDP reports no refusal
				dialer := newDialer()
				addr.Hostname = "wrong.example"
				_, err := dialer.Dial(timeout(t), addr, dialer.behavior)
				require.Equal(t, compat.DialWrongID, compat.ClassifyDial(err), "%v", err)
			}
			for name, order := range orders {
				dialer, ended, addr := newDialer(), make(chan silentDial, 1), addr
				addr.Hostname = name
				waiting = append(waiting, ended)
				go func() {
					_, err := dialer.Dial(timeout(t), addr, dialer.behavior)
					ended <- silentDial{order, err}
				}()
			}
		}
	}
	for _, ended := range waiting {
		d := <-ended
		require.Equal(t, compat.DialTimedOut, compat.ClassifyDial(d.err), "%v", d.err)
		require.ErrorContains(t, d.err, "127.0.0.2")
		require.ErrorContains(t, d.err, "127.0.0.5")
		require.Equal(t, slices.ContainsFunc(d.order, ip(7).Equal), strings.Contains(d.err.Error(), "127.0.0.7"))
	}
}
