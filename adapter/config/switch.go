package config

import (
	"errors"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// maxLookups is how many host names are looked up at a time.
const maxLookups = 16

// SwitchOptions returns what the section says to a switch: peers, seeds, limits,
// the guard against several peers of one IP and the dial timeout. Reactors are the
// program's to add, the discovery reactor if PeerExchange is true among them.
//
// A host name stays the peer's address: it is resolved at each dial. It is also
// looked up here, 16 at a time, each within 3 s, so that the IP can be compared;
// failing is no error.
//
// An entry of a list that cannot be used is left out, as TM2 does. The error
// joins one *FieldError for each; the options are complete without them, so the
// caller may either give up or report the error and go on.
func (c *P2PConfig) SwitchOptions() ([]adapter.SwitchOption, error) {
	persistent, persistentErr := peerAddresses("persistent_peers", c.PersistentPeers)
	seeds, seedsErr := peerAddresses("seeds", c.Seeds)
	private, privateErr := peerIDs("private_peer_ids", c.PrivatePeerIDs)
	unconditional, unconditionalErr := peerIDs("unconditional_peer_ids", c.UnconditionalPeerIDs)
	if !c.PeerExchange {
		seeds = nil // as TM2 does: nobody would ask them
	}

	return []adapter.SwitchOption{
		adapter.WithPersistentPeers(persistent),
		adapter.WithSeeds(seeds),
		adapter.WithPrivatePeers(private),
		adapter.WithUnconditionalPeers(unconditional),
		adapter.WithMaxInboundPeers(c.MaxNumInboundPeers),
		adapter.WithMaxOutboundPeers(c.MaxNumOutboundPeers),
		adapter.WithAllowDuplicateIP(c.AllowDuplicateIP),
		adapter.WithDialTimeout(c.DialTimeout),
	}, errors.Join(persistentErr, seedsErr, privateErr, unconditionalErr)
}

// peerAddresses returns the usable peers of a list, in order, and what is wrong
// with the others.
func peerAddresses(key, list string) ([]*types.NetAddress, error) {
	entries := tomlvalue.SplitList(list)
	addrs := make([]*types.NetAddress, len(entries))
	failures := make([]error, len(entries))
	var group errgroup.Group
	group.SetLimit(maxLookups)
	for i, entry := range entries {
		group.Go(func() error {
			addr, err := peerAddress(entry)
			if err != nil {
				failures[i] = &FieldError{fullName(key), entry, err.Error()}

				return nil
			}
			addrs[i] = addr

			return nil
		})
	}
	_ = group.Wait() // the functions report through failures

	usable := addrs[:0]
	for _, addr := range addrs {
		if addr != nil {
			usable = append(usable, addr)
		}
	}

	return usable, errors.Join(failures...)
}

func peerAddress(entry string) (*types.NetAddress, error) {
	if err := tomlvalue.CheckPeer(entry); err != nil {
		return nil, err
	}
	addr, err := types.NewConfiguredNetAddress(entry)
	if err != nil {
		return nil, err
	}
	if addr.Hostname != "" {
		return addr, nil // what it resolves to may change
	}

	return addr, addr.Validate()
}

func peerIDs(key, list string) ([]types.ID, error) {
	var ids []types.ID
	var failures []error
	for _, entry := range tomlvalue.SplitList(list) {
		id, err := tomlvalue.ParseID(entry)
		if err != nil {
			failures = append(failures, &FieldError{fullName(key), entry, err.Error()})

			continue
		}
		ids = append(ids, id)
	}

	return ids, errors.Join(failures...)
}

// ProxyNetworks returns ProxyProtocolNetworks, for native.WithProxyProtocol. A single IP
// is a network of one address. An error is a *FieldError.
func (c *P2PConfig) ProxyNetworks() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, entry := range tomlvalue.SplitList(c.ProxyProtocolNetworks) {
		network, err := netip.ParsePrefix(entry)
		if ip, ipErr := netip.ParseAddr(entry); ipErr == nil {
			network, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil {
			return nil, &FieldError{fullName("proxy_protocol_networks"), entry, `it must be a network, as "10.0.0.0/8", or an IP`}
		}
		networks = append(networks, network.Masked())
	}

	return networks, nil
}

// ListenNetAddress returns where the transport of the node with the ID listens:
// ListenAddress, at all addresses of the machine if that names no host. A host
// name is resolved, within 3 s. An error is a *FieldError.
func (c *P2PConfig) ListenNetAddress(id types.ID) (types.NetAddress, error) {
	return netAddress("laddr", c.ListenAddress, id)
}

// AdvertisedNetAddress returns the address that the NodeInfo of the node with the
// ID shows its peers: ExternalAddress, or else ListenAddress as
// ListenNetAddress returns it. A host name is resolved, within 3 s. An error is a
// *FieldError.
func (c *P2PConfig) AdvertisedNetAddress(id types.ID) (types.NetAddress, error) {
	if c.ExternalAddress == "" {
		return c.ListenNetAddress(id)
	}

	return netAddress("external_address", c.ExternalAddress, id)
}

func netAddress(key, address string, id types.ID) (types.NetAddress, error) {
	wrong := func(err error) (types.NetAddress, error) {
		return types.NetAddress{}, &FieldError{fullName(key), address, err.Error()}
	}

	host, port, err := tomlvalue.SplitAddress(address)
	if err != nil {
		return wrong(err)
	}
	if host == "" {
		host = net.IPv4zero.String()
	}
	hostPort := net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
	addr, err := types.NewNetAddressFromString(types.NetAddressString(id, hostPort))
	if err != nil {
		return wrong(err)
	}
	addr.Hostname = "" // a node does not look for itself anew

	return *addr, nil
}
