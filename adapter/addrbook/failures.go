package addrbook

import (
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// maxAddressFailures and maxHostFailures are how many dials may fail at one IP
	// and port, and at one IP, within failureMemory. After that no hint leads there:
	// peers can make up IDs, and ports, without end.
	maxAddressFailures = 3
	maxHostFailures    = 16
	failureMemory      = 10 * time.Minute

	// maxRemembered bounds the memory: 1024 dials that take 10 s each are 6000 in a
	// minute at most. Beyond it the older half is forgotten early.
	maxRemembered = 8192
)

// failures counts failed dials by where they went, whatever ID they asked for. It
// forgets by halves, between failureMemory and twice that after the last one. It is
// not safe for concurrent use.
type failures struct {
	turned  time.Time
	current map[string]int
	former  map[string]int
}

func newFailures(now time.Time) *failures {
	return &failures{turned: now, current: make(map[string]int), former: make(map[string]int)}
}

func (f *failures) note(addr *types.NetAddress, now time.Time) {
	f.forget(now)
	f.current[addr.DialString()]++
	if host := hostOf(addr.IP); host != "" {
		f.current[host]++
	}
}

// tooMany reports whether a hint may not lead to the address.
func (f *failures) tooMany(addr *types.NetAddress, now time.Time) bool {
	f.forget(now)
	if f.count(addr.DialString()) >= maxAddressFailures {
		return true
	}
	host := hostOf(addr.IP)

	return host != "" && f.count(host) >= maxHostFailures
}

func (f *failures) count(key string) int { return f.current[key] + f.former[key] }

// forget lets the older half go when its time has come, or when there are too many.
func (f *failures) forget(now time.Time) {
	age := now.Sub(f.turned)
	switch {
	case age >= 2*failureMemory:
		f.former = make(map[string]int)
	case age >= failureMemory || len(f.current) >= maxRemembered/2:
		f.former = f.current
	default:
		return
	}
	f.turned, f.current = now, make(map[string]int)
}

// hostOf names the host at an IP. It is empty for local addresses, where many nodes may
// share an IP.
func hostOf(ip net.IP) string {
	addr := netgroup.FromIP(ip)
	if !addr.IsValid() || netgroup.IsLocal(addr) {
		return ""
	}

	return netgroup.Name(netgroup.Host(addr))
}

// networkOf names the network that an IP belongs to. It is empty for local addresses.
func networkOf(ip net.IP) string {
	network := netgroup.Network(netgroup.FromIP(ip))
	if !network.IsValid() {
		return ""
	}

	return network.String()
}
