// Package freeport finds ports for tests that listen again at the port of a stopped node, or
// that tell a port before anything listens there.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

const (
	// The ports are those that systems give to nobody who asks for any: the ports of outgoing
	// connections begin at 32768 on Linux, and at 49152 elsewhere (RFC 6335).
	minPort, maxPort = 10000, 32767
	// perRange is how many ports a process reserves at a time.
	perRange = 100
)

// reserved are the ranges of this process.
var reserved ranges

// ranges gives the ports of ranges that no other test program uses. Test programs run at the same
// time and know nothing of ports that others have been given and do not use yet. So a process
// listens at the first port of each of its ranges until it ends, which only one can do. It is safe
// for concurrent use.
type ranges struct {
	mu    sync.Mutex
	held  []net.Listener // keeps what marks a range from being collected
	ports []int          // of the ranges, not given yet
}

// Take returns a port that is free for TCP and UDP at each of the IPs, or at 127.0.0.1 without any.
// It returns no port twice, and none that it has returned to another process that still runs. An
// error says why the last port that was tried is not free, or that no range is left.
func Take(ips ...net.IP) (uint16, error) {
	if len(ips) == 0 {
		ips = []net.IP{net.IPv4(127, 0, 0, 1)}
	}

	return reserved.take(ips)
}

func (r *ranges) take(ips []net.IP) (uint16, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var last error
	for range perRange {
		if len(r.ports) == 0 {
			if err := r.reserve(); err != nil {
				return 0, errors.Join(err, last)
			}
		}
		port := r.ports[0]
		r.ports = r.ports[1:]
		if last = try(port, ips); last == nil {
			return uint16(port), nil
		}
	}

	return 0, fmt.Errorf("no free port: %w", last)
}

// reserve adds a range that no process holds. The order is random, so that programs that start
// together seldom try the same.
func (r *ranges) reserve() error {
	var last error
	for _, i := range rand.Perm((maxPort + 1 - minPort) / perRange) {
		first := minPort + i*perRange
		var mark net.Listener
		if mark, last = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: first}); last != nil {
			continue
		}
		r.held = append(r.held, mark)
		for port := first + 1; port < first+perRange; port++ {
			r.ports = append(r.ports, port)
		}

		return nil
	}

	return fmt.Errorf("no range of ports is left: %w", last)
}

// try reports why a port is not free at one of the IPs.
func try(port int, ips []net.IP) error {
	for _, ip := range ips {
		tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: port})
		if err != nil {
			return err
		}
		udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: port})
		if err != nil {
			return errors.Join(err, tcp.Close())
		}
		if err := errors.Join(tcp.Close(), udp.Close()); err != nil {
			return err
		}
	}

	return nil
}
