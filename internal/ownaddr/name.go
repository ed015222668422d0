package ownaddr

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	// firstRetry is the wait before a name that does not resolve is looked up again,
	// doubled each time up to maxRetry.
	firstRetry = time.Second
	maxRetry   = 5 * time.Minute

	// DefaultInterval is how often a name that resolves is looked up again. Operators of
	// dynamic addresses give their names lifetimes of some minutes.
	DefaultInterval = 5 * time.Minute

	// lookupTimeout bounds one look-up.
	lookupTimeout = 5 * time.Second

	// maxIPs is how many IPs of a name count: a node has some of each family.
	maxIPs = 8
)

// ErrNoIP is the error of a name that resolves to no IP at which a node can be dialed.
var ErrNoIP = errors.New("host name has no IP address that can be dialed")

// Name is the host name of this node.
type Name struct {
	Host     string
	Interval time.Duration // between look-ups; DefaultInterval if it is 0

	// Found is called with the IPs of the name, sorted, once they are known and whenever
	// they have changed.
	Found func(ips []netip.Addr)
	// Logger hears of changes, and of the first look-up that fails and the first that
	// fails after a success.
	Logger *slog.Logger
}

// Follow looks the name up until ctx ends. A name that does not resolve is looked up again
// after 1 s, then at growing intervals up to 5 minutes. Meanwhile the IPs that were found
// last hold.
func (n Name) Follow(ctx context.Context) {
	interval := n.Interval
	if interval <= 0 {
		interval = DefaultInterval
	}
	var last []netip.Addr
	retry, failing := firstRetry, false
	for {
		ips, err := n.lookUp(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := interval
		if err != nil {
			if !failing {
				n.Logger.Warn("own host name does not resolve, peers are told its last address until it does", "name", n.Host, "err", err)
			}
			failing, pause = true, retry
			retry = min(2*retry, maxRetry)
		} else {
			retry, failing = firstRetry, false
			if !slices.Equal(ips, last) {
				last = ips
				n.Logger.Info("own host name leads to these addresses, which peers are told", "name", n.Host, "ips", ips)
				n.Found(slices.Clone(ips))
			}
		}
		if !task.Sleep(ctx, pause) {
			return
		}
	}
}

// lookUp returns the IPs of the name, sorted.
func (n Name) lookUp(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", n.Host)
	if err != nil {
		return nil, err
	}
	ips := make([]netip.Addr, 0, len(found))
	for _, ip := range found {
		if ip = ip.Unmap(); !ip.IsUnspecified() && !ip.IsMulticast() {
			ips = append(ips, ip)
		}
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	if ips = slices.Compact(ips); len(ips) == 0 {
		return nil, ErrNoIP
	}

	return ips[:min(len(ips), maxIPs)], nil
}

// Choose returns the IP for a NodeInfo, which has room for one: an IPv4 address if there is one,
// since more nodes can dial it, and the current one among those, so that it does not change
// without need. A look-up that has found IPv6 only may have got half of an answer.
func Choose(ips []netip.Addr, current netip.Addr) netip.Addr {
	v4 := slices.IndexFunc(ips, netip.Addr.Is4)
	switch {
	case slices.Contains(ips, current) && (current.Is4() || v4 < 0):
		return current
	case len(ips) == 0:
		return netip.Addr{}
	default:
		return ips[max(0, v4)]
	}
}
