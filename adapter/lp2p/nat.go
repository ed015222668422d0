package lp2p

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// maxRelays bounds the relays at which a node reserves.
	maxRelays = 8
	// relayRetry is how long to wait before another attempt at a relay that was not
	// reached, and relayBackoff at one that refused the reservation.
	relayRetry   = 30 * time.Second
	relayBackoff = 2 * time.Minute
)

// natOptions are the options about NATs. The zero value does nothing.
type natOptions struct {
	portMapping  bool
	autoNAT      bool
	holePunching bool
	circuits     bool               // connections through relays are dialed and accepted
	relays       []types.NetAddress // where to reserve
	relayService *RelayLimits       // nil for none

	// libp2p starts its services before there is a transport.
	t         *Transport
	bound     chan struct{} // closed when t is set
	listening chan struct{} // closed by Listen
}

// WithPortMapping asks the router by UPnP, NAT-PMP or PCP to forward the listening ports,
// and announces the router's address. It is for a node behind a router of its operator.
func WithPortMapping() Option {
	return func(o *options) { o.nat.portMapping = true }
}

// WithAutoNAT makes the node find out by AutoNAT v2 which of its public addresses other
// nodes reach, and answer the same question to them. An address counts as reachable when
// two nodes have confirmed it. Without a reachable address the node is no relay
// (WithRelayService), and reserves at relays (WithRelayClient). Without this option a node
// assumes that it is reachable, unless it has relays.
func WithAutoNAT() Option {
	return func(o *options) { o.nat.autoNAT = true }
}

// WithRelayClient lets Dial reach nodes behind NATs through relays (docs/nat.md §3). It
// also keeps a reservation at each of the given relays, at most 8, through which other
// nodes reach this one. Relays are given by TM2 addresses, which may have host names; they
// need public IPs and WithRelayService.
//
// Sessions never run through a relay, which only introduces the two nodes to each other.
// They connect directly if the dialer is public, or if both have WithHolePunching.
func WithRelayClient(relays ...types.NetAddress) Option {
	return func(o *options) {
		if len(relays) > maxRelays {
			o.report(fmt.Errorf("more than %d relays", maxRelays))
		}
		for _, addr := range relays {
			if err := addr.ID.Validate(); err != nil {
				o.report(fmt.Errorf("relay %s: %w", addr.String(), err))
			}
		}
		o.nat.circuits = true
		o.nat.relays = slices.Clone(relays)
	}
}

// WithHolePunching lets this node connect directly (DCUtR) to another node that is behind a
// NAT too, after the two have met at a relay. It includes WithRelayClient without relays.
// It needs WithQUIC, which dials from the listening port.
func WithHolePunching() Option {
	return func(o *options) {
		o.nat.circuits = true
		o.nat.holePunching = true
	}
}

// WithRelayService makes a public node a relay (circuit v2) for nodes behind NATs, within
// the limits. With WithAutoNAT it is a relay while other nodes confirm that they reach it.
func WithRelayService(limits RelayLimits) Option {
	return func(o *options) {
		o.nat.relayService = &limits
		o.report(limits.Validate())
	}
}

// validateNAT returns an error for options that exclude each other.
func (o *options) validateNAT() error {
	n := o.nat
	switch {
	case n.holePunching && o.quic == quicOff:
		return errors.New("WithHolePunching needs WithQUIC")
	case n.relayService != nil && len(n.relays) > 0 && !n.autoNAT:
		return errors.New("a node that needs relays is none: WithRelayService and WithRelayClient need WithAutoNAT")
	case o.private && (n.autoNAT || n.holePunching):
		return errors.New("WithAutoNAT and WithHolePunching tell others the addresses that WithPrivateNode hides")
	default:
		return nil
	}
}

// hostOptions enables the services of libp2p for these options, and disables all others.
func (n *natOptions) hostOptions(timeouts Timeouts) []libp2p.Option {
	n.bound, n.listening = make(chan struct{}), make(chan struct{})
	// Otherwise libp2p would probe by AutoNAT v1, which no node answers.
	opts := []libp2p.Option{assumeReachability(n.reachability())}
	if !n.autoNAT && !n.holePunching {
		opts = append(opts, libp2p.DisableIdentifyAddressDiscovery())
	}
	if n.portMapping {
		opts = append(opts, libp2p.NATPortMap())
	}
	if n.autoNAT {
		opts = append(opts, libp2p.EnableAutoNATv2())
	}
	if n.circuits {
		opts = append(opts, libp2p.EnableRelay())
	} else {
		opts = append(opts, libp2p.DisableRelay())
	}
	if len(n.relays) > 0 {
		opts = append(opts, libp2p.EnableAutoRelayWithPeerSource(n.relaySource,
			autorelay.WithNumRelays(len(n.relays)), autorelay.WithMaxCandidates(len(n.relays)),
			autorelay.WithMinCandidates(1), autorelay.WithBootDelay(0),
			autorelay.WithMinInterval(relayRetry), autorelay.WithBackoff(relayBackoff)))
	}
	if n.holePunching {
		opts = append(opts, libp2p.EnableHolePunching(
			holepunch.DirectDialTimeout(timeouts.Dial), holepunch.WithAddrFilter(punchFilter{})))
	}
	if n.relayService != nil {
		opts = append(opts, libp2p.EnableRelayService(
			relay.WithResources(n.relayService.resources()), relay.WithACL(relayACL{n})))
	}

	return opts
}

// reachability is what the node assumes at the start; only AutoNAT changes it.
func (n *natOptions) reachability() network.Reachability {
	switch {
	case n.autoNAT:
		return network.ReachabilityUnknown
	case len(n.relays) > 0:
		return network.ReachabilityPrivate
	default:
		return network.ReachabilityPublic
	}
}

func assumeReachability(r network.Reachability) libp2p.Option {
	return func(cfg *libp2p.Config) error {
		cfg.AutoNATConfig.ForceReachability = &r

		return nil
	}
}

// startNAT makes the transport available to libp2p's services, and starts ours.
func (t *Transport) startNAT() error {
	n := &t.opts.nat
	n.t = t
	close(n.bound)
	if n.relayService != nil {
		t.host.SetStreamHandler(RelayedProtocol, t.answering(t.answerRelayed))
	}
	if !n.autoNAT {
		return nil
	}

	confirmed, err := t.host.EventBus().Subscribe(
		new(event.EvtHostReachableAddrsChanged), eventbus.Name("tm2 reachability"))
	if err != nil {
		return fmt.Errorf("unable to follow the reachability: %w", err)
	}
	changed, err := t.host.EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful)
	if err != nil {
		return errors.Join(fmt.Errorf("unable to tell the reachability: %w", err), confirmed.Close())
	}
	t.tasks.Go(func() { t.followReachability(confirmed, changed) })

	return nil
}

// followReachability translates the findings of AutoNAT v2 into the event of AutoNAT v1, to
// which the relay service, the reservations and the DHT listen.
func (t *Transport) followReachability(confirmed event.Subscription, changed event.Emitter) {
	defer confirmed.Close()
	defer changed.Close()
	last := t.opts.nat.reachability()
	for {
		var e any
		select {
		case <-t.ctx.Done():
			return
		case e = <-confirmed.Out():
		}
		now := reachabilityOf(e.(event.EvtHostReachableAddrsChanged))
		if now == last {
			continue
		}
		last = now
		t.logger.Info("reachability has changed", "reachability", now.String())
		if err := changed.Emit(event.EvtLocalReachabilityChanged{Reachability: now}); err != nil {
			t.logger.Warn("reachability was not told", "err", err)
		}
	}
}

// reachabilityOf derives the node's reachability from that of its public addresses.
func reachabilityOf(e event.EvtHostReachableAddrsChanged) network.Reachability {
	switch {
	case len(e.Reachable) > 0:
		return network.ReachabilityPublic
	case len(e.Unreachable) > 0 && len(e.Unknown) == 0:
		return network.ReachabilityPrivate
	default:
		return network.ReachabilityUnknown
	}
}
