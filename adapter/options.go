package adapter

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The limits of a switch that was given none, as in TM2.
const (
	DefaultMaxInboundPeers  = 40
	DefaultMaxOutboundPeers = 10
)

// ErrInvalidReactor is wrapped by the error of Start when a reactor given by
// WithReactor cannot be used.
var ErrInvalidReactor = errors.New("invalid reactor")

// SwitchOption configures a MultiplexSwitch while it is built.
type SwitchOption func(*MultiplexSwitch)

// WithReactor adds a reactor under a unique name and sets its switch. Reactors
// are started, and hear of peers, in the order of the options. A reactor whose
// channels are invalid or already taken makes Start fail.
func WithReactor(name string, reactor compat.Reactor) SwitchOption {
	return func(sw *MultiplexSwitch) {
		if err := sw.addReactor(name, reactor); err != nil {
			sw.optionErr = errors.Join(sw.optionErr, fmt.Errorf("%w %q: %w", ErrInvalidReactor, name, err))
		}
	}
}

// WithPersistentPeers sets the peers that the switch dials at start and redials
// whenever they are lost. They are exempt from the limits. Nil addresses are
// ignored; of several addresses with one ID the last counts.
func WithPersistentPeers(peerAddrs []*types.NetAddress) SwitchOption {
	return func(sw *MultiplexSwitch) {
		for _, addr := range peerAddrs {
			if addr != nil {
				sw.persistent[addr.ID] = *addr
			}
		}
	}
}

// WithPrivatePeers sets the peers that must not be told to others.
func WithPrivatePeers(peerIDs []types.ID) SwitchOption {
	return func(sw *MultiplexSwitch) {
		for _, id := range peerIDs {
			sw.private[id] = struct{}{}
		}
	}
}

// WithMaxInboundPeers sets how many peers may be connected that dialed us.
func WithMaxInboundPeers(maxInbound uint64) SwitchOption {
	return func(sw *MultiplexSwitch) { sw.registry.maxInbound = maxInbound }
}

// WithMaxOutboundPeers sets how many peers may be connected that we dialed.
func WithMaxOutboundPeers(maxOutbound uint64) SwitchOption {
	return func(sw *MultiplexSwitch) { sw.registry.maxOutbound = maxOutbound }
}

func (sw *MultiplexSwitch) addReactor(name string, reactor compat.Reactor) error {
	if reactor == nil {
		return errors.New("reactor is nil")
	}
	for _, r := range sw.reactors {
		if r.name == name {
			return errors.New("name is taken")
		}
	}

	descs := reactor.GetChannels()
	seen := make(map[byte]bool, len(descs))
	for _, d := range descs {
		if d == nil {
			return fmt.Errorf("%w: descriptor is nil", compat.ErrInvalidChannel)
		}
		if err := d.Validate(); err != nil {
			return err
		}
		if _, taken := sw.behavior.reactors[d.ID]; taken || seen[d.ID] {
			return fmt.Errorf("%w: channel %#02x is taken", compat.ErrInvalidChannel, d.ID)
		}
		seen[d.ID] = true
	}
	if n := len(sw.behavior.channels) + len(descs); n > compat.MaxChannels {
		return fmt.Errorf("%w: %d channels, more than %d", compat.ErrInvalidChannel, n, compat.MaxChannels)
	}

	gated := &gate{Reactor: reactor, sw: sw, name: name}
	for _, d := range descs {
		filled := d.FillDefaults()
		sw.behavior.channels = append(sw.behavior.channels, &filled)
		sw.behavior.reactors[d.ID] = gated
	}
	sw.reactors = append(sw.reactors, namedReactor{Reactor: reactor, name: name})
	reactor.SetSwitch(sw)

	return nil
}
