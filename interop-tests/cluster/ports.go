package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"

	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
)

const (
	// The ports are below those that systems use for outgoing connections, so that the port
	// of a stopped node stays free.
	minPort, maxPort = 20000, 32000
	// portAttempts is how many ports are tried.
	portAttempts = 100
)

// given holds the ports that freeAddress has returned. A node may listen much later.
var given sync.Map

// freeAddress returns a loopback address whose port is free for TCP and UDP. It returns no
// port twice.
func freeAddress(id p2ptypes.ID) (*p2ptypes.NetAddress, error) {
	ip := net.IPv4(127, 0, 0, 1)
	err := errors.New("all that were tried are given")
	for range portAttempts {
		port := minPort + rand.IntN(maxPort-minPort)
		if _, taken := given.LoadOrStore(port, nil); taken {
			continue
		}
		if err = tryPort(ip, port); err == nil {
			return p2ptypes.NewNetAddress(id, &net.TCPAddr{IP: ip, Port: port})
		}
	}

	return nil, fmt.Errorf("no free port: %w", err)
}

func tryPort(ip net.IP, port int) error {
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
