package config

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"strconv"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/ownaddr"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// PeerLists holds the entries of the section's lists that can be used.
type PeerLists struct {
	Persistent    []*types.NetAddress // persistent_peers
	Seeds         []*types.NetAddress // seeds; none without PeerExchange, since nobody would ask them
	Private       []types.ID          // private_peer_ids
	Unconditional []types.ID          // unconditional_peer_ids
	Blocked       []types.ID          // blocked_peers
}

// PeerLists reads the lists of peers. The error joins one *FieldError for each entry that
// cannot be used; the lists are complete without them. A host name is looked up, 16 at a
// time and each within 3 s, so that the IP can be compared; failing is no error, since the
// name is resolved at each dial.
func (c *P2PConfig) PeerLists() (lists PeerLists, err error) {
	var errs [5]error
	lists.Persistent, errs[0] = tomlvalue.Peers(fullName("persistent_peers"), c.PersistentPeers)
	lists.Seeds, errs[1] = tomlvalue.Peers(fullName("seeds"), c.Seeds)
	lists.Private, errs[2] = tomlvalue.IDs(fullName("private_peer_ids"), c.PrivatePeerIDs)
	lists.Unconditional, errs[3] = tomlvalue.IDs(fullName("unconditional_peer_ids"), c.UnconditionalPeerIDs)
	lists.Blocked, errs[4] = tomlvalue.IDs(fullName("blocked_peers"), c.BlockedPeers)
	if !c.PeerExchange {
		lists.Seeds = nil
	}

	return lists, errors.Join(errs[:]...)
}

// SwitchOptions returns what the section says to a switch: peers, seeds, limits, the guard
// against several peers of one IP, blocked peers and networks, the dial timeout and seed
// mode. The program adds the reactors, with the discovery reactor if PeerExchange is true.
//
// Lists and error are those of PeerLists: as in TM2, an entry that cannot be used is left
// out, and the caller may either give up or report the error and go on. The error also tells
// what is wrong with blocked_ips, which ValidateBasic refuses; no network is blocked then.
func (c *P2PConfig) SwitchOptions() ([]adapter.SwitchOption, error) {
	lists, err := c.PeerLists()
	blocked, blockedErr := c.BlockedNetworks()

	options := []adapter.SwitchOption{
		adapter.WithPersistentPeers(lists.Persistent),
		adapter.WithSeeds(lists.Seeds),
		adapter.WithPrivatePeers(lists.Private),
		adapter.WithUnconditionalPeers(lists.Unconditional),
		adapter.WithBlockedPeers(lists.Blocked),
		adapter.WithBlockedIPs(blocked),
		adapter.WithMaxInboundPeers(c.MaxNumInboundPeers),
		adapter.WithMaxOutboundPeers(c.MaxNumOutboundPeers),
		adapter.WithAllowDuplicateIP(c.AllowDuplicateIP),
		adapter.WithDialTimeout(c.DialTimeout),
	}
	if c.SeedMode && c.PeerExchange {
		options = append(options, adapter.WithSeedMode(adapter.DefaultSeedUptime))
	}

	return options, errors.Join(err, blockedErr)
}

// ProxyNetworks returns ProxyProtocolNetworks, for WithProxyProtocol of either stack. A single IP
// is a network of one address. An error is a *FieldError.
func (c *P2PConfig) ProxyNetworks() ([]netip.Prefix, error) {
	return parseNetworks("proxy_protocol_networks", c.ProxyProtocolNetworks)
}

// BlockedNetworks returns BlockedIPs. A single IP is a network of one address. An error is a
// *FieldError.
func (c *P2PConfig) BlockedNetworks() ([]netip.Prefix, error) {
	return parseNetworks("blocked_ips", c.BlockedIPs)
}

// Tunnels returns TunnelBridges and TunnelPeerIDs, for tunnel.NewTransport. It looks up host
// names as PeerLists does. One entry that cannot be used makes the whole an error, which joins
// a *FieldError for each: without an entry, a peer would be dialed in another way than its
// operator wants.
func (c *P2PConfig) Tunnels() (bridges []types.NetAddress, peers []types.ID, err error) {
	if err := c.checkTunnels(); err != nil {
		return nil, nil, err
	}
	found, err := tomlvalue.Peers(fullName("tunnel_bridges"), c.TunnelBridges)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range found {
		bridges = append(bridges, *b)
	}
	peers, err = tomlvalue.IDs(fullName("tunnel_peer_ids"), c.TunnelPeerIDs)

	return bridges, peers, err
}

// checkTunnels checks both lists, and looks up no names.
func (c *P2PConfig) checkTunnels() error {
	for _, bridge := range tomlvalue.SplitList(c.TunnelBridges) {
		if _, err := tomlvalue.CheckPeer(bridge); err != nil {
			return tomlvalue.Wrong(fullName("tunnel_bridges"), bridge, err.Error())
		}
	}
	if bridge := tomlvalue.Repeated(c.TunnelBridges); bridge != "" {
		return tomlvalue.Wrong(fullName("tunnel_bridges"), bridge, "another entry has the same ID")
	}
	_, err := tomlvalue.IDs(fullName("tunnel_peer_ids"), c.TunnelPeerIDs)

	return err
}

func parseNetworks(key, list string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, entry := range tomlvalue.SplitList(list) {
		network, err := netip.ParsePrefix(entry)
		if ip, ipErr := netip.ParseAddr(entry); ipErr == nil {
			ip = ip.Unmap()
			network, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil || network.Addr().Is4In6() { // no IPv4 address is in such a network
			return nil, tomlvalue.Wrong(fullName(key), entry, `it must be a network, as "10.0.0.0/8", or an IP`)
		}
		networks = append(networks, network.Masked())
	}

	return networks, nil
}

// ListenNetAddress returns the address at which the node with the ID listens:
// ListenAddress, or every address of the machine if that has no host. A host name is
// resolved within 3 s. An error is a *FieldError.
func (c *P2PConfig) ListenNetAddress(id types.ID) (types.NetAddress, error) {
	return netAddress("laddr", c.ListenAddress, id)
}

// interfaceAddrs is replaced in tests.
var interfaceAddrs = net.InterfaceAddrs

// AdvertisedNetAddress returns the address in the NodeInfo of the node with the ID:
// ExternalAddress, or else what ListenNetAddress returns. An error is a *FieldError.
//
// The host name of ExternalAddress stays in the address as Hostname, so that the transport
// looks it up again. It is looked up here within 3 s; without success the IP is 0.0.0.0. If
// ListenAddress stands for all addresses of the machine, the IP is a public one of its
// network interfaces if it has one.
func (c *P2PConfig) AdvertisedNetAddress(id types.ID) (types.NetAddress, error) {
	if c.ExternalAddress != "" {
		addr, err := configuredAddress("external_address", c.ExternalAddress, id, types.NewConfiguredNetAddress)
		if err == nil && addr.IP == nil {
			addr.IP = net.IPv4zero
		}

		return addr, err
	}
	addr, err := c.ListenNetAddress(id)
	if err != nil || !addr.IP.IsUnspecified() {
		return addr, err
	}
	// Without its interfaces the node tells no IP, of which UnknownPlace warns.
	if interfaces, err := interfaceAddrs(); err == nil {
		for _, ip := range ownaddr.Public(interfaces) {
			addr.IP = ip.AsSlice()

			break
		}
	}

	return addr, nil
}

func netAddress(key, address string, id types.ID) (types.NetAddress, error) {
	addr, err := configuredAddress(key, address, id, types.NewNetAddressFromString)
	addr.Hostname = "" // a listener does not move

	return addr, err
}

// configuredAddress reads the value of a key by parse, which looks up host names.
func configuredAddress(
	key, address string, id types.ID, parse func(string) (*types.NetAddress, error),
) (types.NetAddress, error) {
	host, port, err := tomlvalue.SplitAddress(address)
	var addr *types.NetAddress
	if err == nil {
		hostPort := net.JoinHostPort(cmp.Or(host, "0.0.0.0"), strconv.FormatUint(uint64(port), 10))
		addr, err = parse(types.NetAddressString(id, hostPort))
	}
	if err != nil {
		return types.NetAddress{}, tomlvalue.Wrong(fullName(key), address, err.Error())
	}

	return *addr, nil
}
