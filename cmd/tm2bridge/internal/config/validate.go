package config

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// Validate returns a *FieldError for the first invalid value. It resolves no host names.
func (c *Config) Validate() error {
	if err := c.validateAddresses(); err != nil {
		return err
	}
	if err := c.P2P.ValidateBasic(); err != nil {
		return err
	}
	if n := c.Bridge.Identities; n < 1 || n > bridge.MaxIdentities {
		return tomlvalue.Wrong("[bridge].identities", n, fmt.Sprintf("it must be within 1 and %d", bridge.MaxIdentities))
	}
	if c.Bridge.MaxPairs < 1 {
		return tomlvalue.Wrong("[bridge].max_pairs", c.Bridge.MaxPairs, "it must be at least 1")
	}
	if c.Bridge.MaxPairsPerIP < 0 {
		return tomlvalue.Wrong("[bridge].max_pairs_per_ip", c.Bridge.MaxPairsPerIP, "it must not be negative")
	}
	if err := c.validateLog(); err != nil {
		return err
	}
	network := c.Bridge.Libp2pNetwork
	if network == "" {
		return nil
	}
	if err := discovery.CheckNetwork(network); err != nil {
		return tomlvalue.Wrong(keyLibp2pNetwork, network, err.Error())
	}
	if c.Bridge.OnlyConfigured {
		return tomlvalue.Wrong(keyLibp2pNetwork, network, "it must be empty when only_configured is true")
	}

	return nil
}

func (c *Config) validateLog() error {
	if _, err := c.Log.SlogLevel(); err != nil {
		return err
	}
	if c.Log.Format != FormatText && c.Log.Format != FormatJSON {
		return tomlvalue.Wrong("[log].format", c.Log.Format, "it must be text or json")
	}

	return nil
}

func (c *Config) validateAddresses() error {
	native, err := parseListen(keyNativeListen, c.P2P.ListenAddress)
	if err != nil {
		return err
	}
	libp2p, err := parseListen(keyLibp2pListen, c.Bridge.Libp2pListenAddress)
	if err != nil {
		return err
	}
	if int(native.Port())+c.Bridge.Identities-1 > math.MaxUint16 {
		return tomlvalue.Wrong("[bridge].identities", c.Bridge.Identities, fmt.Sprintf("there are not as many ports from %d on", native.Port()))
	}
	_, privateErr := tomlvalue.IDs(keyPrivatePeers, c.P2P.PrivatePeerIDs)
	_, unconditionalErr := tomlvalue.IDs(keyUnconditionalPeers, c.P2P.UnconditionalPeerIDs)
	_, blockedErr := tomlvalue.IDs(keyBlockedPeers, c.P2P.BlockedPeers)
	_, networksErr := c.P2P.BlockedNetworks()

	return cmp.Or(c.validatePorts(native, libp2p), checkPeers(keyNativePeers, c.P2P.PersistentPeers), checkPeers(keyLibp2pPeers, c.Bridge.Libp2pPeers),
		privateErr, unconditionalErr, blockedErr, networksErr)
}

// checkPeers validates a list of peers with distinct IDs.
func checkPeers(key, list string) error {
	for _, peer := range tomlvalue.SplitList(list) {
		if _, err := tomlvalue.CheckPeer(peer); err != nil {
			return tomlvalue.Wrong(key, peer, err.Error())
		}
	}
	if peer := tomlvalue.Repeated(list); peer != "" {
		return tomlvalue.Wrong(key, peer, "another entry has the same ID")
	}

	return nil
}

// parseListen parses "tcp://IP:port" or "IP:port". Without an IP it returns the
// unspecified address.
func parseListen(key, address string) (netip.AddrPort, error) {
	host, port, err := tomlvalue.SplitAddress(address)
	if err != nil {
		return netip.AddrPort{}, tomlvalue.Wrong(key, address, err.Error())
	}
	ip, err := netip.ParseAddr(cmp.Or(host, "0.0.0.0"))
	if err != nil || ip.Zone() != "" {
		return netip.AddrPort{}, tomlvalue.Wrong(key, address, fmt.Sprintf("%q is not an IP address", host))
	}

	return netip.AddrPortFrom(ip.Unmap(), port), nil
}

func listenAddress(key, address string, id types.ID) (types.NetAddress, error) {
	at, err := parseListen(key, address)

	return types.NetAddress{ID: id, IP: at.Addr().AsSlice(), Port: at.Port()}, err
}
