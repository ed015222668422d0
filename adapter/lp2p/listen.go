package lp2p

import (
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// listenAttempts is how many ports that are free for TCP are tried for UDP.
const listenAttempts = 16

// openListeners opens the listeners and returns their port, which the system chooses if
// the address has port 0. For QUIC it has to be free for UDP too.
func (t *Transport) openListeners(addr types.NetAddress) (uint16, error) {
	for attempt := 1; ; attempt++ {
		port, err := t.listenTCP(addr)
		if err != nil || t.opts.quic == quicOff {
			return port, err
		}
		quic, err := p2paddr.QUICMultiaddr(addr.IP, port)
		if err != nil {
			return 0, err
		}
		if err = t.host.Network().Listen(quic); err == nil {
			return port, nil
		}
		t.closeListeners()
		if addr.Port != 0 || attempt == listenAttempts {
			return 0, fmt.Errorf("QUIC: %w", err)
		}
	}
}

func (t *Transport) listenTCP(addr types.NetAddress) (uint16, error) {
	tcp, err := p2paddr.TCPMultiaddr(addr.IP, addr.Port)
	if err != nil {
		return 0, err
	}
	if err := t.host.Network().Listen(tcp); err != nil {
		return 0, err
	}
	for _, a := range t.host.Network().ListenAddresses() {
		if _, port, ok := p2paddr.Endpoint(a); ok && !p2paddr.IsUDP(a) {
			return port, nil
		}
	}

	return 0, errors.New("listener has no address")
}

func (t *Transport) closeListeners() {
	if s, ok := t.host.Network().(*swarm.Swarm); ok {
		s.ListenClose(slices.DeleteFunc(s.ListenAddresses(), isCircuit)...)
	}
}
