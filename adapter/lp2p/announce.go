package lp2p

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/libp2p/go-libp2p"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/ownaddr"
)

// ownAddrs are the addresses at which this node can be dialed as far as its NodeInfo says,
// such as that of the router in front of it. The host announces them beside those of its
// listeners. libp2p looks every 5 seconds whether they have changed, and then tells all
// connected peers (identify push).
type ownAddrs struct {
	addrs atomic.Pointer[[]multiaddr.Multiaddr]
}

func (o *ownAddrs) set(addrs []multiaddr.Multiaddr) { o.addrs.Store(&addrs) }

// announce is a libp2p.Option. An address factory of the user, or of WithPrivateNode, has
// the last word.
func (o *ownAddrs) announce(cfg *libp2p.Config) error {
	last := cfg.AddrsFactory
	cfg.AddrsFactory = func(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
		if own := o.addrs.Load(); own != nil {
			addrs = append(slices.Clone(addrs), *own...)
		}
		if last != nil {
			return last(addrs)
		}

		return addrs
	}

	return nil
}

// announceOwn has the host announce the address of the NodeInfo, with these IPs, or with its
// own if there are none. An address that nobody can dial is not announced. The caller holds
// the lock.
func (t *Transport) announceOwn(ips ...netip.Addr) {
	addr := t.nodeInfo.NetAddress
	if len(ips) == 0 {
		ips = []netip.Addr{netgroup.FromIP(addr.IP)}
	}
	var own []multiaddr.Multiaddr
	for _, ip := range ips {
		if addr.Port == 0 || !netgroup.IsDialable(ip) {
			continue
		}
		if here, err := t.opts.dialAddrs(ip.AsSlice(), addr.Port); err == nil {
			own = append(own, here...)
		}
	}
	t.opts.own.set(own)
}

// moveTo makes the IPs those of this node: in the NodeInfo of later sessions, which has room
// for one, and in what the host announces.
func (t *Transport) moveTo(ips []netip.Addr, port uint16) {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	moved := *t.nodeInfo.NetAddress
	moved.IP, moved.Port = ownaddr.Choose(ips, netgroup.FromIP(moved.IP)).AsSlice(), port
	t.nodeInfo.NetAddress = &moved
	t.announceOwn(ips...)
}

// followName keeps the node at the IPs of its own host name, if its NodeInfo has one. The
// caller holds the lock.
func (t *Transport) followName() {
	own := *t.nodeInfo.NetAddress
	if own.Hostname == "" || t.opts.private {
		return
	}
	t.tasks.Go(func() {
		ownaddr.Name{
			Host: own.Hostname, Interval: t.opts.nameInterval, Logger: t.logger,
			Found: func(ips []netip.Addr) { t.moveTo(ips, own.Port) },
		}.Follow(t.ctx)
	})
}
