// Package freeport finds ports for tests that listen again at the port of a stopped node, or
// that tell a port before anything listens there.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
)

const (
	// The ports are below those that systems use for outgoing connections, so that the port
	// of a stopped node stays free.
	minPort = 20000
	// Test programs that run at the same time know nothing of the ports that the others have
	// taken and do not use yet. So each has a range of its own, by its process ID.
	ranges, perRange = 24, 500
	// attempts is how many ports are tried.
	attempts = 100
)

// given holds the ports that Take has returned. A node may listen much later.
var given sync.Map

// Take returns a port of 127.0.0.1 that is free for TCP and UDP. It returns no port twice.
func Take() (int, error) {
	err := errors.New("all that were tried are given")
	first := minPort + os.Getpid()%ranges*perRange
	for range attempts {
		port := first + rand.IntN(perRange)
		if _, taken := given.LoadOrStore(port, nil); taken {
			continue
		}
		if err = try(port); err == nil {
			return port, nil
		}
	}

	return 0, fmt.Errorf("no free port: %w", err)
}

func try(port int) error {
	ip := net.IPv4(127, 0, 0, 1)
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: port})
	if err != nil {
		return err
	}
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: port})
	if err != nil {
		return errors.Join(err, tcp.Close())
	}

	return errors.Join(tcp.Close(), udp.Close())
}
