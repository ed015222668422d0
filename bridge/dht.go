package bridge

import (
	"errors"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// maxSought is up to how many targets that were found there, and are of use, the DHT is
// searched for more.
const maxSought = 16

var errNoUse = errors.New("the node is of no use as a target")

// startDHT begins to look for libp2p nodes of the configured network, if there is
// one. The bridge asks the DHT and takes no part in it: it is no node of the network.
func (b *Bridge) startDHT(side *lp2p.Transport) error {
	if b.config.Libp2pNetwork == "" {
		return nil
	}
	opts := append([]discovery.Option{
		discovery.WithBootstrapPeers(b.config.Libp2pPeers),
		discovery.WithPrivatePeers(b.config.PrivatePeers),
		discovery.WithMode(discovery.ModeClient),
	}, b.dhtOptions...)
	d, err := discovery.New(side, opts...)
	if err != nil {
		return err
	}
	d.SetLogger(b.logger)
	d.SetSwitch(&seeker{b})
	if err := d.Start(); err != nil {
		return err
	}
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.dht = d

	return nil
}

// stopDHT waits for everything that startDHT has begun.
func (b *Bridge) stopDHT() error {
	b.mtx.Lock()
	d := b.dht
	b.mtx.Unlock()
	if d == nil {
		return nil
	}

	return d.Stop()
}

// seeking is what the bridge asks of discovery once it runs.
type seeking interface {
	Stop() error
	// RemovePeer tells it that there may be a slot open.
	RemovePeer(peer compat.PeerConn, reason any)
}

// seekMore tells discovery that a target which it has found is of no use.
func (b *Bridge) seekMore() {
	b.mtx.Lock()
	d := b.dht
	b.mtx.Unlock()
	if d != nil {
		d.RemovePeer(nil, errNoUse)
	}
}

// seeker is what discovery knows of the bridge: a switch that keeps in mind whom it is
// to dial, and has no peers of its own.
type seeker struct{ bridge *Bridge }

var _ compat.Switch = (*seeker)(nil)

// DialPeers implements compat.Switch: the nodes, who have proved to be at these
// addresses, are targets.
func (s *seeker) DialPeers(addrs ...*types.NetAddress) {
	for _, addr := range addrs {
		if addr.Dialable() {
			s.bridge.libp2pTargets.learnFound(*addr, sourceOf(netgroup.FromIP(addr.IP)))
		}
	}
}

// OutboundSlots tells how many more are looked for.
func (s *seeker) OutboundSlots() (taken, limit uint64) {
	return s.bridge.libp2pTargets.countFound(), maxSought
}

// Peers implements compat.Switch.
func (s *seeker) Peers() compat.PeerSet { return sought{s.bridge.libp2pTargets} }

// Broadcast implements compat.Switch: there is nobody to send to.
func (*seeker) Broadcast(byte, []byte) {}

// StopPeerForError implements compat.Switch: there is nobody to stop.
func (*seeker) StopPeerForError(compat.PeerConn, error) {}

// Subscribe implements compat.Switch. What happens is that targets are not reached.
func (s *seeker) Subscribe(filter events.EventFilter) (<-chan events.Event, func()) {
	return s.bridge.missed.Subscribe(filter)
}

// sought is the empty set of peers. It has those who need not be looked for.
type sought struct{ targets *targets }

// Has implements compat.PeerSet: who is configured, and has not failed, is known.
func (s sought) Has(id types.ID) bool { return s.targets.isServing(id) }

// Add implements compat.PeerSet.
func (sought) Add(compat.PeerConn) {}

// Remove implements compat.PeerSet.
func (sought) Remove(types.ID) bool { return false }

// Get implements compat.PeerSet.
func (sought) Get(types.ID) compat.PeerConn { return nil }

// List implements compat.PeerSet.
func (sought) List() []compat.PeerConn { return nil }

// NumInbound implements compat.PeerSet.
func (sought) NumInbound() uint64 { return 0 }

// NumOutbound implements compat.PeerSet.
func (sought) NumOutbound() uint64 { return 0 }
