package adapter

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The limits of a switch that was given none, as in TM2.
const (
	DefaultMaxInboundPeers  = 40
	DefaultMaxOutboundPeers = 10
)

// DefaultDialTimeout bounds one dial of a switch that was given no other bound:
// 3 s, as in TM2, to reach the address, and as much again for each of the two
// handshakes on a slow path, with a margin.
const DefaultDialTimeout = 10 * time.Second

// ErrInvalidReactor is wrapped by the error of Start when a reactor given by
// WithReactor cannot be used.
var ErrInvalidReactor = errors.New("invalid reactor")

// SwitchOption configures a MultiplexSwitch while it is built. Start reports one that
// cannot be used by an error that wraps compat.ErrInvalidOption.
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

// WithLogger sets the logger of the switch, which discards otherwise. Reactors and the
// transport have loggers of their own.
func WithLogger(logger *slog.Logger) SwitchOption {
	return func(sw *MultiplexSwitch) {
		if logger != nil {
			sw.SetLogger(logger)
		}
	}
}

// WithPersistentPeers sets the peers that the switch dials at start and redials
// whenever they are lost, always at these addresses. They are exempt from the
// limits. Nil addresses and addresses without ID are ignored; of several
// addresses with one ID the last counts.
func WithPersistentPeers(peerAddrs []*types.NetAddress) SwitchOption {
	return func(sw *MultiplexSwitch) { keepAddrs(sw.lists.persistent, peerAddrs) }
}

// WithPrivatePeers sets the peers that must not be told to others.
func WithPrivatePeers(peerIDs []types.ID) SwitchOption {
	return func(sw *MultiplexSwitch) { keepIDs(sw.lists.private, peerIDs) }
}

// WithUnconditionalPeers sets the peers that are always let in: they are exempt
// from the limits and from the guard against several peers of one IP, take no
// slot from others, and, unlike persistent peers, are not dialed by themselves.
// What such a peer says it relays (see [compat.ConnInfo].DelegatedBy) is exempt
// from the guard too.
func WithUnconditionalPeers(peerIDs []types.ID) SwitchOption {
	return func(sw *MultiplexSwitch) { keepIDs(sw.lists.unconditional, peerIDs) }
}

// WithSeeds sets the peers that the switch asks when it knows nobody else to
// dial and has outbound slots open: one of them at random, first at the start,
// then at most every 30 s, or every 5 s while no peer is connected. They are not
// redialed, and count like any other peer; a seed that is a persistent peer too
// is only that. Nil addresses and addresses without ID are ignored; of several
// addresses with one ID the last counts.
func WithSeeds(peerAddrs []*types.NetAddress) SwitchOption {
	return func(sw *MultiplexSwitch) { keepAddrs(sw.lists.seeds, peerAddrs) }
}

// WithAllowDuplicateIP lets several peers of one IP in, as TM2's
// allow_duplicate_ip; without it an inbound peer is refused while another peer
// of its IP is connected. Networks on one machine need it.
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
	return func(sw *MultiplexSwitch) { sw.registry.maxInbound = maxInbound }
}

// WithMaxOutboundPeers sets how many peers may be connected that we dialed.
func WithMaxOutboundPeers(maxOutbound uint64) SwitchOption {
	return func(sw *MultiplexSwitch) { sw.registry.maxOutbound = maxOutbound }
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

func keepIDs(kept map[types.ID]struct{}, ids []types.ID) {
	for _, id := range ids {
		kept[id.Canonical()] = struct{}{}
	}
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
