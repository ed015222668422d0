package cluster

import (
	"net"

	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/internal/freeport"
)

// freeAddress returns a loopback address whose port is free for TCP and UDP, and stays free
// while the node is stopped.
func freeAddress(id p2ptypes.ID) (*p2ptypes.NetAddress, error) {
	port, err := freeport.Take()
	if err != nil {
		return nil, err
	}

	return p2ptypes.NewNetAddress(id, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
}
