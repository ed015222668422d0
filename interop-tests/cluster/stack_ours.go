package cluster

import (
	"errors"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/validator"
)

// Native is our switch on our native transport.
func Native() Stack {
	return Stack{Name: "native", Speaks: SpeaksNative, New: func(s Setup) (validator.Switch, error) {
		return dropin.NewNativeSwitch(s.Self.Info, *s.Self.Key, s.P2P, s.Reactors, s.Logger)
	}}
}

// Libp2p is our switch on our libp2p transport over TCP.
func Libp2p() Stack { return libp2pStack("libp2p") }

// Libp2pQUIC is Libp2p over QUIC alone.
func Libp2pQUIC() Stack { return libp2pStack("libp2p-quic", lp2p.WithQUICOnly()) }

func libp2pStack(name string, opts ...lp2p.Option) Stack {
	return Stack{Name: name, Speaks: SpeaksLibp2p, New: func(s Setup) (validator.Switch, error) {
		return dropin.NewLibp2pSwitch(s.Self.Info, *s.Self.Key, s.P2P, s.Reactors, s.Logger,
			dropin.WithLibp2pOptions(opts...))
	}}
}

// GnoOnLibp2p is gno's own switch on our libp2p transport.
func GnoOnLibp2p() Stack {
	return Stack{Name: "gno-on-libp2p", Speaks: SpeaksLibp2p, New: func(s Setup) (validator.Switch, error) {
		tr, err := lp2p.NewTransport(dropin.FromNodeInfo(s.Self.Info), dropin.FromNodeKey(*s.Self.Key), s.Logger)
		if err != nil {
			return nil, err
		}
		if err := tr.Listen(*dropin.FromNetAddress(s.Self.Info.NetAddress)); err != nil {
			return nil, errors.Join(err, tr.Close())
		}

		return newGnoSwitch(s, dropin.Transport(tr), tr.Close)
	}}
}

// Memory is gno's own switch on queues in memory. It shows the speed of the reactors without
// the cost of a network.
func Memory() Stack {
	network := memory.NewNetwork()

	return Stack{Name: "memory", Speaks: "memory", New: func(s Setup) (validator.Switch, error) {
		tr, err := network.NewTransportFor(dropin.FromNodeInfo(s.Self.Info))
		if err != nil {
			return nil, err
		}

		return newGnoSwitch(s, dropin.Transport(tr), tr.Close)
	}}
}
