package lp2p

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// observer judges by what peers say in identify where this node is, if neither its NodeInfo
// nor its listener tells. It belongs to one goroutine.
type observer struct {
	t       *Transport
	dialed  votes[netip.AddrPort] // where peers say that they have dialed this node
	seen    votes[netip.Addr]     // from where peers see it come
	own     netip.AddrPort        // what was agreed on
	advised netip.Addr
}

// watchPeers follows what peers show of this node: where it is, and whether its clock is
// right.
func (t *Transport) watchPeers() error {
	identified, err := t.host.EventBus().Subscribe(
		new(event.EvtPeerIdentificationCompleted), eventbus.Name("tm2 observer"))
	if err != nil {
		return fmt.Errorf("unable to follow what peers see: %w", err)
	}
	o := &observer{t: t, dialed: make(votes[netip.AddrPort]), seen: make(votes[netip.Addr])}
	t.tasks.Go(func() {
		defer identified.Close()
		for {
			select {
			case <-t.ctx.Done():
				return
			case e := <-identified.Out():
				o.note(e.(event.EvtPeerIdentificationCompleted), time.Now())
			}
		}
	})

	return nil
}

// OnPlaced has f called with each address at which peers of several networks have dialed this
// node, once the node tells it to libp2p peers. That is for a node that tells its address on another
// stack too. f must not wait. A later call replaces f.
func (t *Transport) OnPlaced(f func(at netip.AddrPort)) { t.placed.Store(&f) }

func (o *observer) note(e event.EvtPeerIdentificationCompleted, now time.Time) {
	if isCircuit(e.Conn.RemoteMultiaddr()) {
		return // the address is that of the relay
	}
	from := netgroup.Network(ipOf(e.Conn.RemoteMultiaddr()))
	o.t.clock.noteRecord(from, e.SignedPeerRecord, now)
	at, ok := p2paddr.AddrPort(e.ObservedAddr)
	if !ok || !from.IsValid() || netgroup.KindOf(at.Addr()) != netgroup.Public || !o.unplaced() {
		return
	}
	if e.Conn.Stat().Direction == network.DirInbound {
		if o.dialed.add(from, at, now) && at != o.own {
			o.own = at
			o.t.moveTo([]netip.Addr{at.Addr()}, at.Port())
			if placed := o.t.placed.Load(); placed != nil {
				(*placed)(at)
			}
			o.t.logger.Info("peers of several networks have dialed this node at an address, which others are told from now on",
				"addr", at)
		}

		return
	}
	// The port is that of the connection, and nobody has shown that this node can be dialed.
	if o.seen.add(from, at.Addr(), now) && !o.own.IsValid() && at.Addr() != o.advised {
		o.advised = at.Addr()
		o.t.logger.Info("peers of several networks see this node come from an IP, of which nobody is told: "+
			"configure it as external_address if the node can be dialed there", "ip", at.Addr())
	}
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
