package config

import (
	"fmt"
	"net/netip"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// listener is where the bridge listens for TCP connections: at so many ports from one on, or, if
// that is 0, at ports that the system chooses.
type listener struct {
	key   string // that sets it
	at    netip.AddrPort
	ports int
}

// meets reports whether two listeners would be in each other's way.
func (l listener) meets(other listener) bool {
	a, b := int(l.at.Port()), int(other.at.Port())
	sameIP := l.at.Addr() == other.at.Addr() || l.at.Addr().IsUnspecified() || other.at.Addr().IsUnspecified()

	return sameIP && a != 0 && b != 0 && a < b+other.ports && b < a+l.ports
}

// name says whose port it is.
func (l listener) name() string {
	if l.ports > 1 {
		return l.key + ", or of a further identity"
	}

	return l.key
}

// validatePorts checks that each listener has ports of its own.
func (c *Config) validatePorts(native, libp2p netip.AddrPort) error {
	taken := []listener{{keyNativeListen, native, max(1, c.Bridge.Identities)}}
	take := func(key, value string, at netip.AddrPort) error {
		fresh := listener{key, at, 1}
		for _, l := range taken {
			if fresh.meets(l) {
				return tomlvalue.Wrong(key, value, "it is the port of "+l.name())
			}
		}
		taken = append(taken, fresh)

		return nil
	}
	if err := take(keyLibp2pListen, c.Bridge.Libp2pListenAddress, libp2p); err != nil {
		return err
	}
	if c.HTTP.ListenAddress != "" {
		http, err := parseListen(keyHTTPListen, c.HTTP.ListenAddress)
		if err != nil {
			return err
		}
		if err := take(keyHTTPListen, c.HTTP.ListenAddress, http); err != nil {
			return err
		}
	}
	targets, err := tunnels(c.Bridge.Tunnels, types.NetAddress{}, nil)
	if err != nil {
		return err
	}
	for _, t := range targets {
		value := fmt.Sprintf("%s=%d", t.Node.ID, t.Listen.Port)
		if err := take(keyTunnels, value, netip.AddrPortFrom(native.Addr(), t.Listen.Port)); err != nil {
			return err
		}
	}

	return nil
}
