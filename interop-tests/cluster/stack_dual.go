package cluster

import (
	"errors"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/validator"
)

// Dual is our switch on both of our stacks at one port.
func Dual() Stack { return dualStack("dual", SpeaksBoth) }

// DualSetToLibp2p is Dual whose configuration leaves only libp2p on.
func DualSetToLibp2p() Stack {
	return dualStack("dual-set-to-libp2p", SpeaksLibp2p, dual.WithStack(dual.StackLibp2p), dual.WithDial(dual.DialLibp2p))
}

func dualStack(name string, speaks Protocol, opts ...dual.Option) Stack {
	return Stack{Name: name, Speaks: speaks, New: func(s Setup) (validator.Switch, error) {
		config := dropin.FromP2PConfig(*s.P2P)
		persistent := uint64(strings.Count(config.PersistentPeers, "@"))
		limits := lp2p.WithPeerLimits(
			config.MaxNumInboundPeers+persistent, config.MaxNumOutboundPeers+persistent, config.AllowDuplicateIP)
		tr, err := dual.NewTransport(dropin.FromNodeInfo(s.Self.Info), dropin.FromNodeKey(*s.Self.Key),
			config.MConnConfig(), s.Logger, append(opts, dual.WithLibp2p(limits))...)
		if err != nil {
			return nil, err
		}
		if err := tr.Listen(*dropin.FromNetAddress(s.Self.Info.NetAddress)); err != nil {
			return nil, errors.Join(err, tr.Close())
		}
		sw, err := dropin.NewSwitch(tr, s.P2P, s.Reactors, s.Logger)
		if err != nil {
			return nil, errors.Join(err, tr.Close())
		}

		return &dualSwitch{Switch: sw, transport: tr}, nil
	}}
}

// dualSwitch is a switch with a Close that also closes the transport.
type dualSwitch struct {
	*dropin.Switch

	transport *dual.Transport
}

// Close implements validator.Switch.
func (s *dualSwitch) Close() error { return errors.Join(s.Switch.Close(), s.transport.Close()) }
