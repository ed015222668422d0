package compat_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// newNode returns a transport that listens on loopback and the switch on it.
func newNode(opts ...adapter.SwitchOption) (compat.ListeningTransport, *adapter.MultiplexSwitch, error) {
	key, loopback := types.GenerateNodeKey(), net.IPv4(127, 0, 0, 1)
	transport, err := lp2p.NewTransport(types.NodeInfo{
		NetAddress: &types.NetAddress{ID: key.ID(), IP: loopback},
		Network:    "example", Moniker: "example",
	}, *key, nil)
	if err != nil {
		return nil, nil, err
	}
	if err := transport.Listen(types.NetAddress{IP: loopback}); err != nil {
		return nil, nil, errors.Join(err, transport.Close())
	}
	sw := adapter.NewMultiplexSwitch(transport, opts...)

	return transport, sw, sw.Start()
}

// explain says what a failed dial tells about the peer.
func explain(err error) string {
	var (
		refusal *compat.RejectError
		wrong   *lp2p.WrongIDError
		network *net.OpError
	)
	switch {
	case errors.As(err, &refusal): // by the peer if Remote is set, else by this node
		return fmt.Sprintf("refused (by the peer: %t): %s", refusal.Remote, refusal.Code)
	case errors.As(err, &wrong):
		return "another node is there"
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return "nobody is there"
	default:
		return err.Error()
	}
}

// Dials that fail. Events say why, and the error tells the reasons apart.
func ExampleRejectError() {
	full, fullSwitch, err := newNode(adapter.WithMaxInboundPeers(0))
	if err != nil {
		fmt.Println(err)

		return
	}
	defer full.Close()
	defer fullSwitch.Stop()
	own, sw, err := newNode()
	if err != nil {
		fmt.Println(err)

		return
	}
	defer own.Close()
	defer sw.Stop()

	failed, cancel := sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer cancel()
	there := full.NetAddress()
	other, nobody := there, there
	other.ID = types.GenerateNodeKey().ID()
	nobody.ID, nobody.Port = types.GenerateNodeKey().ID(), 1
	for _, addr := range []types.NetAddress{there, other, nobody} {
		sw.DialPeers(&addr)
		fmt.Println(explain((<-failed).(events.DialFailedEvent).Reason))
	}
	// Output:
	// refused (by the peer: true): full
	// another node is there
	// nobody is there
}
