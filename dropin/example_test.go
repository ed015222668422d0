package dropin_test

import (
	"fmt"
	"log/slog"
	"net"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
)

// The switch of this project runs on gno's own transport.
func ExampleFromTransport() {
	key := gnotypes.GenerateNodeKey()
	info := gnotypes.NodeInfo{
		NetAddress: &gnotypes.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1), Port: 26656},
		Network:    "example",
		Channels:   []byte{0x20},
		Moniker:    "example",
	}
	transport := p2p.NewMultiplexTransport(info, *key, conn.DefaultMConnConfig(), slog.New(slog.DiscardHandler))
	if err := transport.Listen(gnotypes.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		fmt.Println(err)

		return
	}
	defer transport.Close()

	sw := adapter.NewMultiplexSwitch(dropin.FromTransport(transport))
	if err := sw.Start(); err != nil {
		fmt.Println(err)

		return
	}
	fmt.Println(sw.IsRunning(), len(sw.Peers().List()))
	fmt.Println(sw.Stop())
	// Output:
	// true 0
	// <nil>
}
