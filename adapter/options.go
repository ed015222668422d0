package adapter

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The default limits of a switch, as in TM2.
const (
	DefaultMaxInboundPeers  = 40
	DefaultMaxOutboundPeers = 10
)

// DefaultDialTimeout bounds a dial: as in TM2, 3 s to reach the address and 3 s for each of
// the two handshakes, and a margin.
const DefaultDialTimeout = 10 * time.Second

// ErrInvalidReactor is wrapped by the error of Start when a reactor given by
// WithReactor cannot be used.
var ErrInvalidReactor = errors.New("invalid reactor")

// SwitchOption configures a MultiplexSwitch while it is built. Start reports one that
// cannot be used by an error that wraps compat.ErrInvalidOption.
type SwitchOption func(*MultiplexSwitch)

// WithReactor adds a reactor under a unique name and sets its switch. Reactors are started,
// and called for each peer, in the order of the options. Start fails if channels of the
// reactor are invalid or taken.
func WithReactor(name string, reactor compat.Reactor) SwitchOption {
	return func(sw *MultiplexSwitch) {
		if err := sw.addReactor(name, reactor); err != nil {
			sw.optionErr = errors.Join(sw.optionErr, fmt.Errorf("%w %q: %w", ErrInvalidReactor, name, err))
		}
	}
}

// WithLogger sets the logger of the switch, which discards otherwise. Reactors and the
// transport have loggers of their own.
func WithLogger(logger *slog.Logger) SwitchOption {
	return func(sw *MultiplexSwitch) {
		if logger != nil {
			sw.SetLogger(logger)
		}
	}
}

// WithPersistentPeers sets the peers that the switch dials at start and whenever they are not
// connected, always at these addresses. They are exempt from the limits. Nil addresses and
// addresses without ID are ignored. Of several addresses with one ID the last counts.
func WithPersistentPeers(peerAddrs []*types.NetAddress) SwitchOption {
	return func(sw *MultiplexSwitch) { keepAddrs(sw.lists.persistent, peerAddrs) }
}

// WithPrivatePeers sets the peers that must not be told to others.
func WithPrivatePeers(peerIDs []types.ID) SwitchOption {
	return func(sw *MultiplexSwitch) { keepIDs(sw.lists.private, peerIDs) }
}

// WithUnconditionalPeers sets the peers that are always admitted. They are exempt from the
// limits and from the rule of one peer per IP, and take no slot. Unlike persistent peers they
// are not dialed. Peers that they present (see [compat.ConnInfo].DelegatedBy) are exempt from
// the rule of one peer per IP too.
func WithUnconditionalPeers(peerIDs []types.ID) SwitchOption {
	return func(sw *MultiplexSwitch) { keepIDs(sw.lists.unconditional, peerIDs) }
}

// WithBlockedPeers sets the peers that are neither admitted nor dialed, like those that
// BlockPeer names while the switch runs.
func WithBlockedPeers(peerIDs []types.ID) SwitchOption {
	return func(sw *MultiplexSwitch) { keepIDs(sw.lists.blocked, peerIDs) }
}

// WithBlockedIPs sets the networks from which no peer is admitted, and to which no hint is
// dialed, whatever other options say. Start fails for a network that is not valid, and for
// IPv4-mapped ones, which contain no address.
func WithBlockedIPs(networks []netip.Prefix) SwitchOption {
	return func(sw *MultiplexSwitch) {
		for _, n := range networks {
			if !n.IsValid() || n.Addr().Is4In6() {
				sw.optionErr = errors.Join(sw.optionErr, fmt.Errorf("blocked network %s is no IPv4 or IPv6 network", n))
			}
		}
		sw.lists.blockedIPs = networks
	}
}

// WithSeeds sets the peers that the switch dials when it has outbound slots free and no other
// address to dial: one at random, first at the start, then at most every 30 s, or every 5 s
// while no peer is connected. A seed counts like any other peer and is not redialed; one that
// is a persistent peer too is only that. Nil addresses and addresses without ID are ignored.
// Of several addresses with one ID the last counts.
func WithSeeds(peerAddrs []*types.NetAddress) SwitchOption {
	return func(sw *MultiplexSwitch) { keepAddrs(sw.lists.seeds, peerAddrs) }
}

// WithAllowDuplicateIP admits several peers of one IP, as TM2's allow_duplicate_ip does.
// Without it an inbound peer, or an outbound one at a public IP, is refused while another peer
// of its IP is connected, and a host is refused for a time after its peers have misbehaved.
// Networks on one machine need it.
func WithAllowDuplicateIP(allow bool) SwitchOption {
	return func(sw *MultiplexSwitch) { sw.registry.allowDuplicateIP = allow }
}

// WithDialTimeout bounds each dial, from the name look-up to the end of the
// handshakes. A timeout that is not positive makes Start fail.
func WithDialTimeout(timeout time.Duration) SwitchOption {
	return func(sw *MultiplexSwitch) {
		if timeout <= 0 {
			sw.optionErr = errors.Join(sw.optionErr, fmt.Errorf("dial timeout %s is not positive", timeout))

			return
		}
		sw.dialTimeout = timeout
		sw.dials.youngFor = timeout / youngShare
	}
}

// WithMaxInboundPeers sets how many peers may be connected that dialed us.
func WithMaxInboundPeers(maxInbound uint64) SwitchOption {
	return func(sw *MultiplexSwitch) { sw.registry.limits[slotInbound] = maxInbound }
}

// WithMaxOutboundPeers sets how many peers may be connected that we dialed.
func WithMaxOutboundPeers(maxOutbound uint64) SwitchOption {
	return func(sw *MultiplexSwitch) { sw.registry.limits[slotOutbound] = maxOutbound }
}

func keepAddrs(kept map[types.ID]types.NetAddress, addrs []*types.NetAddress) {
	for _, addr := range addrs {
		if addr != nil && addr.ID != "" {
			own := *addr
			own.ID = own.ID.Canonical()
			kept[own.ID] = own
		}
	}
}

func keepIDs(kept map[types.ID]bool, ids []types.ID) {
	for _, id := range ids {
		if id != "" {
			kept[id.Canonical()] = true
		}
	}
}

// addReactor registers a reactor and its channels. After an error the switch does not start.
func (sw *MultiplexSwitch) addReactor(name string, reactor compat.Reactor) error {
	if reactor == nil {
		return errors.New("reactor is nil")
	}
	for _, r := range sw.reactors {
		if r.name == name {
			return errors.New("name is taken")
		}
	}

	gated := &gate{Reactor: reactor, sw: sw, name: name}
	for _, d := range reactor.GetChannels() {
		if d == nil {
			return fmt.Errorf("%w: descriptor is nil", compat.ErrInvalidChannel)
		}
		if err := d.Validate(); err != nil {
			return err
		}
		if sw.behavior.reactors[d.ID] != nil {
			return fmt.Errorf("%w: channel %#02x is taken", compat.ErrInvalidChannel, d.ID)
		}
		filled := d.FillDefaults()
		sw.behavior.channels = append(sw.behavior.channels, &filled)
		sw.behavior.reactors[d.ID] = gated
	}
	if n := len(sw.behavior.channels); n > compat.MaxChannels {
		return fmt.Errorf("%w: %d channels, more than %d", compat.ErrInvalidChannel, n, compat.MaxChannels)
	}
	sw.reactors = append(sw.reactors, namedReactor{Reactor: reactor, name: name})
	reactor.SetSwitch(sw)

	return nil
}
