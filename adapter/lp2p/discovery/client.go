package discovery

import (
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Client dials what a Discovery finds. SetSwitch makes one of a switch; a program
// that dials by itself, as a bridge, has its own (see WithClient). All methods may be
// called concurrently and must not block.
type Client interface {
	// DialPeers takes addresses at which peers were found or say that they are.
	DialPeers(addrs ...*types.NetAddress)
	// HasPeer reports whether the client has the peer already: it is neither
	// proposed nor searched for.
	HasPeer(id types.ID) bool
	// OutboundSlots returns how many outbound peers the client has, and how many it
	// wants: discovery walks the DHT while there are fewer.
	OutboundSlots() (taken, limit uint64)
	// Subscribe registers for events, of which discovery reads those of failed dials
	// and rejected peers (see compat.Switch).
	Subscribe(filter events.EventFilter) (<-chan events.Event, func())
}

// switchClient is the Client of a switch.
type switchClient struct {
	compat.Switch
	maxOutbound *uint64 // see WithMaxOutboundPeers
}

// HasPeer implements Client.
func (c switchClient) HasPeer(id types.ID) bool { return c.Peers().Has(id) }

// OutboundSlots implements Client. A switch that tells its slots, as
// adapter.MultiplexSwitch does, knows better than the direction of its peers.
func (c switchClient) OutboundSlots() (taken, limit uint64) {
	if teller, ok := c.Switch.(interface{ OutboundSlots() (taken, limit uint64) }); ok {
		return teller.OutboundSlots()
	}
	if c.maxOutbound != nil {
		return c.Peers().NumOutbound(), *c.maxOutbound
	}

	return c.Peers().NumOutbound(), DefaultMaxOutboundPeers
}

// SetSwitch implements compat.Reactor: the switch is the client.
func (d *Discovery) SetSwitch(sw compat.Switch) {
	d.BaseReactor.SetSwitch(sw)
	d.client = switchClient{sw, d.opts.maxOutbound}
}

// peers returns the peers of the switch, none for a client that is no switch.
func (d *Discovery) peers() []compat.PeerConn {
	if d.Switch == nil {
		return nil
	}

	return d.Switch.Peers().List()
}

// Wake makes the next walk begin at once, for a client that has lost a peer which
// it was told of.
func (d *Discovery) Wake() { d.wake.Set() }
