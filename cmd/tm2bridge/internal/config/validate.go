package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
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
	if c.Bridge.MaxPairs < 1 {
		return wrong("[bridge].max_pairs", c.Bridge.MaxPairs, "it must be at least 1")
	}
	if c.Bridge.MaxPairsPerIP < 0 {
		return wrong("[bridge].max_pairs_per_ip", c.Bridge.MaxPairsPerIP, "it must not be negative")
	}

	return c.validateNetwork()
}

// validateNetwork checks the name of the DHT's network (docs/discovery-dht.md).
func (c *Config) validateNetwork() error {
	network := c.Bridge.Libp2pNetwork
	if network == "" {
		return nil
	}
	if err := discovery.CheckNetwork(network); err != nil {
		return wrong(keyLibp2pNetwork, network, err.Error())
	}
	if c.Bridge.OnlyConfigured {
		return wrong(keyLibp2pNetwork, network, "it must be empty when only_configured is true")
	}

	return nil
}

func wrong(key string, content any, reason string) error {
	return &FieldError{Key: key, Value: content, Reason: reason}
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
	if native == libp2p && native.Port() != 0 {
		return wrong(keyLibp2pListen, c.Bridge.Libp2pListenAddress, "it is the same as "+keyNativeListen)
	}
	for _, list := range []struct{ key, value string }{
		{keyNativePeers, c.P2P.PersistentPeers}, {keyLibp2pPeers, c.Bridge.Libp2pPeers},
	} {
		if err := checkPeers(list.key, list.value); err != nil {
			return err
		}
	}
	if _, err := peerIDs(keyPrivatePeers, c.P2P.PrivatePeerIDs); err != nil {
		return err
	}
	_, err = peerIDs(keyUnconditionalPeers, c.P2P.UnconditionalPeerIDs)

	return err
}

// checkPeers validates a list of peers with distinct IDs.
func checkPeers(key, list string) error {
	seen := make(map[string]bool)
	for _, peer := range tomlvalue.SplitList(list) {
		if err := tomlvalue.CheckPeer(peer); err != nil {
			return wrong(key, peer, err.Error())
		}
		id, _, _ := strings.Cut(peer, "@")
		if seen[id] {
			return wrong(key, peer, "another entry has the same ID")
		}
		seen[id] = true
	}

	return nil
}

// parseListen parses "tcp://IP:port" or "IP:port". Without an IP it returns the
// unspecified address.
func parseListen(key, address string) (netip.AddrPort, error) {
	host, port, err := tomlvalue.SplitAddress(address)
	if err != nil {
		return netip.AddrPort{}, wrong(key, address, err.Error())
	}
	if host == "" {
		host = "0.0.0.0"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return netip.AddrPort{}, wrong(key, address, fmt.Sprintf("%q is not an IP address", host))
	}

	return netip.AddrPortFrom(ip.Unmap(), port), nil
}

func listenAddress(key, address string, id types.ID) (types.NetAddress, error) {
	at, err := parseListen(key, address)
	if err != nil {
		return types.NetAddress{}, err
	}

	return types.NetAddress{ID: id, IP: at.Addr().AsSlice(), Port: at.Port()}, nil
}

func peerAddresses(key, list string) ([]*types.NetAddress, error) {
	var addrs []*types.NetAddress
	for _, peer := range tomlvalue.SplitList(list) {
		addr, err := types.NewConfiguredNetAddress(peer)
		if err != nil {
			return nil, wrong(key, peer, err.Error())
		}
		addrs = append(addrs, addr)
	}

	return addrs, nil
}

func peerIDs(key, list string) ([]types.ID, error) {
	var ids []types.ID
	for _, entry := range tomlvalue.SplitList(list) {
		id, err := tomlvalue.ParseID(entry)
		if err != nil {
			return nil, wrong(key, entry, err.Error())
		}
		ids = append(ids, id)
	}

	return ids, nil
}
