package native

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Constants of the protocol (docs/wire.md §3, §4).
const (
	// HandshakeTimeout bounds the secret connection, and again the exchange of
	// NodeInfo.
	HandshakeTimeout = 3 * time.Second
	// DialTimeout bounds the TCP connect.
	DialTimeout = 3 * time.Second
)

// Constants of this implementation.
const (
	// maxHandshakes is how many inbound handshakes may be under way; a further
	// connection is closed at once.
	maxHandshakes = 256
	// maxHandshakesPerIP keeps one address from taking all of them.
	maxHandshakesPerIP = 64
	// acceptBacklog is how many verified connections may wait for Accept.
	acceptBacklog = 16
	// maxAcceptDelay caps the pause after a failing accept call, as when the
	// process is out of file descriptors.
	maxAcceptDelay = time.Second
)

var errTooManyHandshakes = errors.New("too many handshakes under way")

// admission counts inbound handshakes in total and per IP address.
type admission struct {
	mtx   sync.Mutex
	total int
	perIP map[netip.Addr]int
}

func newAdmission() *admission { return &admission{perIP: make(map[netip.Addr]int)} }

// enter takes a place for the remote address; the returned function gives it
// back.
func (a *admission) enter(remote net.Addr) (leave func(), err error) {
	ip := addrIP(remote)

	a.mtx.Lock()
	defer a.mtx.Unlock()
	if a.total >= maxHandshakes {
		return nil, fmt.Errorf("%w: %d in total", errTooManyHandshakes, a.total)
	}
	if a.perIP[ip] >= maxHandshakesPerIP {
		return nil, fmt.Errorf("%w: %d from %s", errTooManyHandshakes, a.perIP[ip], ip)
	}
	a.total++
	a.perIP[ip]++

	return func() { a.leave(ip) }, nil
}

func (a *admission) leave(ip netip.Addr) {
	a.mtx.Lock()
	defer a.mtx.Unlock()
	a.total--
	if a.perIP[ip]--; a.perIP[ip] == 0 {
		delete(a.perIP, ip)
	}
}

func addrIP(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)

	return ip.Unmap()
}
