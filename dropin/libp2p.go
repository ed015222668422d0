package dropin

import (
	"errors"
	"math"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// libp2pOptions returns the options of the node's libp2p stack: those that the section and
// the reactors imply, and then the caller's.
func (p *plan) libp2pOptions(o *options) []lp2p.Option {
	if p.cfg.RecvAssemblyTimeout == 0 {
		p.logger.Warn("[p2p].recv_assembly_timeout = 0 means a default over libp2p", "timeout", libp2pTimeouts(p.cfg).Assembly)
	}
	opts := append(libp2pLimits(p.cfg), lp2p.WithProxyProtocol(p.proxies...),
		lp2p.WithSecurity(lp2p.Security(p.cfg.Libp2pSecurity)))
	if p.cfg.QUIC {
		opts = append(opts, lp2p.WithQUIC())
	}
	if book := p.addrBook(o); book != nil {
		opts = append(opts, lp2p.WithAddrBook(book))
	}
	if len(o.sw) == 0 { // options may add reactors, whose channels are unknown here
		if !o.withDHT {
			p.warnOfDiscovery()
		}
		opts = append(opts, lp2p.WithChannels(channels(p.reactors)...))
	}

	return append(opts, o.libp2p...)
}

// switchOver returns a switch on a transport whose libp2p stack is given. It closes the
// transport if it fails.
func (p *plan) switchOver(stack string, tr compat.ListeningTransport, libp2p *lp2p.Transport, o *options) (*Switch, error) {
	if o.withDHT && p.cfg.PeerExchange {
		found, err := newDHT(libp2p, p.cfg, o.dht)
		if err != nil {
			return nil, wrapNew(stack, errors.Join(err, tr.Close()))
		}
		p.options = append(p.options, adapter.WithReactor("DHT", found))
	}

	return newSwitch(stack, tr, tr, p, o.sw), nil
}

// libp2pLimits returns the limits that the section implies for the libp2p stack.
func libp2pLimits(cfg config.P2PConfig) []lp2p.Option {
	in, out := mostPeers(cfg)

	return []lp2p.Option{
		lp2p.WithTimeouts(libp2pTimeouts(cfg)), lp2p.WithPeerLimits(in, out, cfg.AllowDuplicateIP),
		lp2p.WithRates(cfg.SendRate, cfg.RecvRate),
	}
}

// mostPeers returns how many peers there may be that have dialed this node, and that it has
// dialed. Both include the persistent and the unconditional peers, which do not use up slots and
// may connect in either direction, all from one IP.
func mostPeers(cfg config.P2PConfig) (in, out uint64) {
	exempt := uint64(strings.Count(cfg.PersistentPeers, "@") + len(tomlvalue.SplitList(cfg.UnconditionalPeerIDs)))

	return addUpTo(cfg.MaxNumInboundPeers, exempt), addUpTo(cfg.MaxNumOutboundPeers, exempt)
}

func libp2pTimeouts(cfg config.P2PConfig) lp2p.Timeouts {
	timeouts := lp2p.DefaultTimeouts()
	if cfg.RecvAssemblyTimeout > 0 {
		timeouts.Assembly = cfg.RecvAssemblyTimeout
	}

	return timeouts
}

// addUpTo returns n + more, or the largest uint64 when that overflows.
func addUpTo(n, more uint64) uint64 { return min(n, math.MaxUint64-more) + more }
