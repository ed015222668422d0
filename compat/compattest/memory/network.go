package memory

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The errors of a Network. Dial and NewTransportFor return them wrapped.
var (
	// ErrRefused: no Transport listens at the address.
	ErrRefused error = syscall.ECONNREFUSED
	// ErrAddressInUse: another Transport listens at the address.
	ErrAddressInUse = errors.New("address in use")
)

const listenPort = 26656

// Network connects Transports in memory. All methods may be called concurrently.
type Network struct {
	mtx       sync.Mutex
	listeners map[string]*Transport // by DialString
	nodes     uint32
	ports     uint16
}

// NewNetwork returns a network without nodes.
func NewNetwork() *Network { return &Network{listeners: make(map[string]*Transport)} }

// NewNodeInfo returns a valid NodeInfo with a new identity, an unused address and the
// given channels.
func (n *Network) NewNodeInfo(channels ...byte) types.NodeInfo {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	n.nodes++
	addr := types.NewNetAddressFromIPPort(net.IPv4(10, byte(n.nodes>>16), byte(n.nodes>>8), byte(n.nodes)), listenPort)
	addr.ID = types.GenerateNodeKey().ID()

	return types.NodeInfo{
		NetAddress: addr,
		Network:    "compattest",
		Version:    "v1.0.0",
		Channels:   channels,
		Moniker:    fmt.Sprintf("node-%d", n.nodes),
	}
}

// NewTransport returns a listening Transport of a new node with the given channels.
func (n *Network) NewTransport(channels ...byte) *Transport {
	info := n.NewNodeInfo(channels...)
	n.mtx.Lock()
	defer n.mtx.Unlock()

	return n.listen(info)
}

// NewTransportFor returns a listening Transport of the given node, for example of one
// whose Transport was closed. The error wraps ErrAddressInUse or is that of the node's
// Validate.
func (n *Network) NewTransportFor(node types.NodeInfo) (*Transport, error) {
	if err := node.Validate(); err != nil {
		return nil, err
	}
	n.mtx.Lock()
	defer n.mtx.Unlock()
	if n.listeners[node.NetAddress.DialString()] != nil {
		return nil, fmt.Errorf("%w: %s", ErrAddressInUse, node.NetAddress)
	}

	return n.listen(node), nil
}

// listen registers a transport. The caller holds the lock.
func (n *Network) listen(node types.NodeInfo) *Transport {
	t := newTransport(n, node)
	n.listeners[node.NetAddress.DialString()] = t

	return t
}

func (n *Network) find(addr types.NetAddress) *Transport {
	n.mtx.Lock()
	defer n.mtx.Unlock()

	return n.listeners[addr.DialString()]
}

func (n *Network) forget(t *Transport) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	delete(n.listeners, t.Node.NetAddress.DialString())
}

// nextPort returns the local port of the next dial.
func (n *Network) nextPort() uint16 {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	n.ports++

	return 32768 + n.ports%28232
}
