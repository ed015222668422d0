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
	// An address is lost when so many looks in a row miss it: few if the machine has got another
	// one meanwhile, and more if it may get its own back, as after the loss of a cable, since
	// connections outlive that.
	absentMoved = 2
	absentAlone = 10
)

// errAddressGone ends a connection that nothing can reach any more.
var errAddressGone = errors.New("this machine no longer has the address of the connection")

// localAddress is the address of this machine to which a connection is bound. Only the goroutine of
// watchLocal uses it.
type localAddress struct {
	ip     netip.Addr          // not valid: unknown, loopback, or that of no interface
	beside map[netip.Addr]bool // all addresses at the last look that has found it; nil: none has
	absent int                 // looks in a row since then
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
			sw.tasks.Go(func() { // each may take its time to say goodbye
				sw.stop(c, errAddressGone)
				if err := c.conn.(compat.LocalPeer).CloseLost(); err != nil {
					sw.Logger.Debug("connection did not close cleanly", "peer", c.id, "err", err)
				}
			})
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
		if c.local.isLost(present) {
			lost = append(lost, c)
		}
	}

	return lost
}

// isLost notes a look, and reports once whether the address is lost.
func (l *localAddress) isLost(present map[netip.Addr]bool) bool {
	switch {
	case present[l.ip]:
		l.beside, l.absent = present, 0

		return false
	case l.beside == nil:
		l.ip = netip.Addr{} // the system takes it for its own without an interface

		return false
	}
	l.absent++
	if l.absent < absentMoved || l.absent < absentAlone && !l.hasMoved(present) {
		return false
	}
	l.ip = netip.Addr{}

	return true
}

// hasMoved reports whether the machine has got an address since it lost this one.
func (l *localAddress) hasMoved(present map[netip.Addr]bool) bool {
	for ip := range present {
		if !l.beside[ip] {
			return true
		}
	}

	return false
}
