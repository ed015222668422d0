package lp2p

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// observer judges by what peers say in identify where this node is, if neither its NodeInfo
// nor its listener tells. Only peers that have had a session count, because anybody can connect and
// say anything. It belongs to one goroutine.
type observer struct {
	t       *Transport
	told    map[network.Conn]netip.AddrPort // on connections that have carried no session, while they are open
	dialed  votes[netip.AddrPort]           // where peers say that they have dialed this node
	seen    votes[netip.Addr]               // from where peers see it come
	own     netip.AddrPort                  // what was agreed on
	advised netip.Addr
	doubted netip.AddrPort
}

// watchPeers follows what peers show of this node: where it is, and whether its clock is
// right.
func (t *Transport) watchPeers() error {
	identified, err := t.host.EventBus().Subscribe(
		new(event.EvtPeerIdentificationCompleted), eventbus.Name("tm2 observer"))
	if err != nil {
		return fmt.Errorf("unable to follow what peers see: %w", err)
	}
	o := &observer{
		t: t, told: make(map[network.Conn]netip.AddrPort),
		dialed: make(votes[netip.AddrPort]), seen: make(votes[netip.Addr]),
	}
	t.tasks.Go(func() {
		defer identified.Close()
		for {
			select {
			case <-t.ctx.Done():
				return
			case e := <-identified.Out():
				o.note(e.(event.EvtPeerIdentificationCompleted), time.Now())
			case <-t.begun:
				o.settle(time.Now())
			}
		}
	})

	return nil
}

// OnPlaced has f called with each address at which peers of several networks, with which this node
// has had sessions, have dialed it, once the node tells it to libp2p peers, and with an unspecified one
// when it no longer does. That is for a node that tells its address on another stack too. f must not
// wait. A later call replaces f.
func (t *Transport) OnPlaced(f func(at netip.AddrPort)) { t.placed.Store(&f) }

func (o *observer) note(e event.EvtPeerIdentificationCompleted, now time.Time) {
	if isCircuit(e.Conn.RemoteMultiaddr()) {
		return // the address is that of the relay
	}
	from := voterAt(e.Conn.RemoteMultiaddr())
	o.t.clock.noteRecord(from, e.SignedPeerRecord, now)
	maps.DeleteFunc(o.told, func(c network.Conn, _ netip.AddrPort) bool { return c.IsClosed() })
	at, ok := p2paddr.AddrPort(e.ObservedAddr)
	if !ok || !from.IsValid() || netgroup.KindOf(at.Addr()) != netgroup.Public {
		return
	}
	if o.told[e.Conn] = at; o.t.hasCarried(e.Conn) {
		o.settle(now)
	}
}

// settle counts what was told on connections that have carried a session by now.
func (o *observer) settle(now time.Time) {
	for c, at := range o.told {
		if !o.t.hasCarried(c) {
			continue
		}
		delete(o.told, c)
		if o.unplaced() {
			o.count(c, at, now)
		}
	}
}

// count counts where the peer says that this node is.
func (o *observer) count(c network.Conn, at netip.AddrPort, now time.Time) {
	from, lasts := voterAt(c.RemoteMultiaddr()), func() bool { return o.t.hasCarried(c) }
	if c.Stat().Direction == network.DirInbound {
		if o.dialed.addWhile(from, at, now, lasts) && at != o.own {
			o.follow(at, now)
		}

		return
	}
	// The port is that of the connection, and nobody has shown that this node can be dialed.
	ip := at.Addr()
	if !o.seen.addWhile(from, ip, now, lasts) {
		return
	}
	switch {
	case contradicts(ip, o.own):
		at, unknown := o.own, netip.AddrPortFrom(netgroup.FromIP(o.t.listen.IP), o.t.listen.Port)
		o.own = netip.AddrPort{}
		o.place(unknown)
		o.doubt(at, ip)
	case !o.own.IsValid() && ip != o.advised:
		o.advised = ip
		o.log("peers of several networks see this node come from an IP, of which nobody is told: "+
			"configure it as external_address if the node can be dialed there", "ip", ip)
	}
}

// follow tells others the address at which peers of several networks have dialed this node, unless
// the node comes from elsewhere: whoever dials this node may lie, and the peers that it dials itself
// are harder to choose for an attacker.
func (o *observer) follow(at netip.AddrPort, now time.Time) {
	if ip, agreed := o.seen.agreed(now); agreed && contradicts(ip, at) {
		o.doubt(at, ip)

		return
	}
	o.own = at
	o.place(at)
	o.log("peers of several networks have dialed this node at an address, which others are told from now on", "addr", at)
}

// contradicts reports whether a node that comes from the IP cannot be at the address. A node may come
// from another IP in each family.
func contradicts(ip netip.Addr, at netip.AddrPort) bool {
	return at.IsValid() && ip.Unmap().Is4() == at.Addr().Unmap().Is4() && netgroup.Host(ip) != netgroup.Host(at.Addr())
}

// doubt tells the operator once why an address is told to nobody.
func (o *observer) doubt(at netip.AddrPort, ip netip.Addr) {
	if at == o.doubted {
		return
	}
	o.doubted = at
	o.log("peers of several networks say that they have dialed this node at an address, of which nobody is told, "+
		"since others see it come from another IP: configure external_address", "addr", at, "ip", ip)
}

// place has both stacks tell others the address. An unspecified one is told to nobody.
func (o *observer) place(at netip.AddrPort) {
	o.t.moveTo([]netip.Addr{at.Addr()}, at.Port())
	if placed := o.t.placed.Load(); placed != nil {
		(*placed)(at)
	}
}

// log sums up what peers can cause as often as they like, by saying one thing and then another.
func (o *observer) log(msg string, args ...any) {
	o.t.inbound.Event(slog.LevelInfo, netip.Addr{}, msg, "", args...)
}

// unplaced reports whether only peers can tell where this node is: it listens at all
// addresses of its machine, and its NodeInfo has no IP but the one that peers agreed on.
// Hole punching has libp2p itself ask peers, and its connections show no address that
// others can dial.
func (o *observer) unplaced() bool {
	t := o.t
	t.mtx.Lock()
	defer t.mtx.Unlock()
	own := t.nodeInfo.NetAddress
	told := netgroup.FromIP(own.IP)

	return !t.opts.private && !t.opts.nat.circuits && own.Hostname == "" && t.listen.IP.IsUnspecified() &&
		(!told.IsValid() || told.IsUnspecified() || told == o.own.Addr())
}
