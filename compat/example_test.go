package compat_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// A node is dialed under the ID of another one. On the libp2p stack the errors are the
// same.
func ExampleClassifyDial() {
	open := func(port uint16) *native.MultiplexTransport {
		key := types.GenerateNodeKey()
		addr := types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1), Port: port}
		info := types.NodeInfo{
			NetAddress: &addr, Network: "test", Version: "v1.0.0", Moniker: "node", Channels: []byte{channel},
		}

		return native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil)
	}
	listener, dialer := open(0), open(26656)
	defer listener.Close()
	defer dialer.Close()
	if err := listener.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		fmt.Println(err)

		return
	}
	addr := listener.NetAddress()
	found := addr.ID
	addr.ID = types.GenerateNodeKey().ID()

	_, err := dialer.Dial(context.Background(), addr, newHost(nil))
	switch failure := compat.ClassifyDial(err); {
	case failure == compat.DialWrongID:
		var wrong *compat.WrongIDError
		fmt.Println(failure, errors.As(err, &wrong) && wrong.Asked == addr.ID && wrong.Found == found)
	case failure.Answered():
		fmt.Println("the node is there and takes no peer:", failure)
	default:
		fmt.Println(err)
	}
	// Output: wrong ID true
}
