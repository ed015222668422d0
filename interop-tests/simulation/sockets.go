package simulation

import (
	"net"
	"strconv"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/simulation/simnet"
)

// sockets are those of a simulated host.
type sockets struct{ *simnet.Host }

var _ compat.Sockets = sockets{}

// Listen implements compat.Sockets. A host has one IP.
func (s sockets) Listen(_, address string) (net.Listener, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}

	return s.Host.Listen(uint16(port))
}
