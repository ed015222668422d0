package adapter

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// localInterval is the time between two looks at the addresses of the network interfaces.
	localInterval = 3 * time.Second
	// maxAbsent is how many looks in a row may miss an address, which a machine may lose for a
	// moment while its lease is renewed.
	maxAbsent = 1
)

// errAddressGone ends a connection that nothing can reach any more.
var errAddressGone = errors.New("this machine no longer has the address of the connection")

// localAddress is the address of this machine to which a connection is bound. Only the goroutine of
// watchLocal uses it.
type localAddress struct {
	ip     netip.Addr // not valid: unknown, loopback, or that of no interface
	seen   bool       // an interface had it
	absent int        // looks in a row since then in which none had it
}

func localAddressOf(conn compat.PeerConn) localAddress {
	local, ok := conn.(compat.LocalPeer)
	if !ok {
		return localAddress{}
	}
	ip := netgroup.FromIP(local.LocalIP())
	if ip.IsLoopback() {
		ip = netip.Addr{}
	}

	return localAddress{ip: ip}
}

// watchLocal ends the connections whose local address the machine has lost, until the context ends.
// Else a machine that moves to another network would keep them until its pings are not answered,
// for up to 105 s, and would dial nobody anew before that.
func (sw *MultiplexSwitch) watchLocal(ctx context.Context) {
	ticker := time.NewTicker(localInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		lost := sw.lostLocal()
		if len(lost) > 0 {
			sw.Logger.Warn("an address of this machine is gone, and with it the connections to these peers", "peers", len(lost))
		}
		for _, c := range lost {
			sw.tasks.Go(func() { sw.stop(c, errAddressGone) }) // each may take its time to say goodbye
		}
	}
}

// lostLocal returns the connections whose local address the machine has lost.
func (sw *MultiplexSwitch) lostLocal() (lost []*connection) {
	var bound []*connection
	for _, c := range sw.peers.connections() {
		if c.local.ip.IsValid() {
			bound = append(bound, c)
		}
	}
	if len(bound) == 0 {
		return nil
	}
	addrs, err := sw.interfaces()
	if err != nil {
		return nil // which says nothing of any address
	}
	present := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		if network, ok := a.(*net.IPNet); ok {
			present[netgroup.FromIP(network.IP)] = true
		}
	}
	for _, c := range bound {
		switch l := &c.local; {
		case present[l.ip]:
			l.seen, l.absent = true, 0
		case !l.seen:
			l.ip = netip.Addr{} // the system takes it for its own without an interface
		case l.absent < maxAbsent:
			l.absent++
		default:
			l.ip = netip.Addr{} // stop is called once
			lost = append(lost, c)
		}
	}

	return lost
}
