package cluster

import (
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/validator"
)

// Dual is our switch on both of our stacks at one port.
func Dual() Stack { return dualStack("dual", SpeaksBoth) }

// DualSetToLibp2p is Dual whose configuration leaves only libp2p on.
func DualSetToLibp2p() Stack {
	return dualStack("dual-set-to-libp2p", SpeaksLibp2p, dropin.WithStack(dual.StackLibp2p), dropin.WithDial(dual.DialLibp2p))
}

func dualStack(name string, speaks Protocol, opts ...dropin.Option) Stack {
	return Stack{Name: name, Speaks: speaks, New: func(s Setup) (validator.Switch, error) {
		return dropin.NewDualSwitch(s.Self.Info, *s.Self.Key, s.P2P, s.Reactors, s.Logger, opts...)
	}}
}
