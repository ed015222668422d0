package dropin

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

var errTunnels = errors.New("tunnels are for a node that has libp2p only: a node that has native connections itself needs none")

var errNoBridges = errors.New("WithTunnels: peers in tunnels need a bridge, and none is named")

// refuseTunnels returns an error if the node of the plan is to have tunnels. A stack that has
// none must not ignore that: it would dial the peers in the open.
func (p *plan) refuseTunnels(o *options) error {
	if p.cfg.TunnelBridges != "" {
		return &config.FieldError{
			Key: "[p2p].tunnel_bridges", Value: p.cfg.TunnelBridges, Reason: errTunnels.Error() +
				`; set [p2p].stack and [p2p].dial to "libp2p", or leave this key out`,
		}
	}
	if len(o.bridges)+len(o.tunneled) > 0 {
		return fmt.Errorf("WithTunnels: %w", errTunnels)
	}

	return nil
}

// tunnels adds the tunnels of the configuration to those of the options.
func (p *plan) tunnels(o *options) error {
	bridges, peers, err := p.cfg.Tunnels()
	if err != nil {
		return err
	}
	if len(bridges)+len(o.bridges) == 0 && len(o.tunneled) > 0 {
		return errNoBridges
	}
	o.bridges, o.tunneled = append(bridges, o.bridges...), append(peers, o.tunneled...)
	for _, b := range o.bridges {
		if id := p.key.ID(); b.ID.Canonical() == id {
			return fmt.Errorf("[p2p].tunnel_bridges or WithTunnels: %s is this node, not a bridge", id)
		}
	}

	return nil
}

// inTunnels returns the transport that has native peers in tunnels too, if the node is to have
// any, and otherwise the libp2p one.
func (p *plan) inTunnels(side *lp2p.Transport, o *options) compat.ListeningTransport {
	if len(o.bridges) == 0 {
		return side
	}

	return tunnel.NewTransport(side, p.key, p.cfg.MConnConfig(), o.bridges, o.tunneled, p.logger.With("transport", "tunnel"))
}
