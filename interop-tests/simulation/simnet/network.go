package simnet

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// LatencyFunc returns how long a byte takes from one host to another. It must not be negative
// and must always return the same for the same two hosts.
type LatencyFunc func(from, to netip.Addr) time.Duration

// Network connects hosts. All methods may be called concurrently.
type Network struct {
	latency LatencyFunc

	mtx   sync.Mutex
	hosts map[netip.Addr]*Host
}

// New returns a network without hosts.
func New(latency LatencyFunc) *Network {
	return &Network{latency: latency, hosts: make(map[netip.Addr]*Host)}
}

// errTaken is returned for a second host at an IP.
var errTaken = errors.New("IP is taken")

// AddHost adds a host with the IP.
func (n *Network) AddHost(ip netip.Addr) (*Host, error) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	if n.hosts[ip] != nil {
		return nil, fmt.Errorf("unable to add a host at %s: %w", ip, errTaken)
	}
	h := &Host{
		network: n, ip: ip, listeners: make(map[uint16]*listener), conns: make(map[*conn]struct{}),
		nextPort: firstPort, gone: make(chan struct{}),
	}
	n.hosts[ip] = h

	return h, nil
}

func (n *Network) host(ip netip.Addr) *Host {
	n.mtx.Lock()
	defer n.mtx.Unlock()

	return n.hosts[ip]
}
