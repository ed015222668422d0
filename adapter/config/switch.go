package config

import (
	"errors"
	"net"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// maxLookups is how many host names are looked up at a time.
const maxLookups = 16

// SwitchOptions returns the section as options of a switch: peers, seeds, limits, the rule
// of one peer per IP, the dial timeout, and seed mode. The program adds the reactors, among them the
// discovery reactor if PeerExchange is true.
//
// A host name is resolved at each dial. It is also looked up here, 16 names at a time and
// each within 3 s, to know the IP; a failed look-up is no error.
//
// Like TM2 it leaves out an entry of a list that cannot be used. The error joins a
// *FieldError for each such entry. The options are complete without them, so the caller may
// report the error and go on.
func (c *P2PConfig) SwitchOptions() ([]adapter.SwitchOption, error) {
	persistent, persistentErr := peerAddresses("persistent_peers", c.PersistentPeers)
	seeds, seedsErr := peerAddresses("seeds", c.Seeds)
	private, privateErr := peerIDs("private_peer_ids", c.PrivatePeerIDs)
	unconditional, unconditionalErr := peerIDs("unconditional_peer_ids", c.UnconditionalPeerIDs)
	if !c.PeerExchange {
		seeds = nil // as TM2 does: nobody would ask them
	}

	options := []adapter.SwitchOption{
		adapter.WithPersistentPeers(persistent),
		adapter.WithSeeds(seeds),
		adapter.WithPrivatePeers(private),
		adapter.WithUnconditionalPeers(unconditional),
		adapter.WithMaxInboundPeers(c.MaxNumInboundPeers),
		adapter.WithMaxOutboundPeers(c.MaxNumOutboundPeers),
		adapter.WithAllowDuplicateIP(c.AllowDuplicateIP),
		adapter.WithDialTimeout(c.DialTimeout),
	}
	if c.SeedMode && c.PeerExchange {
		options = append(options, adapter.WithSeedMode(adapter.DefaultSeedUptime))
	}

	return options, errors.Join(persistentErr, seedsErr, privateErr, unconditionalErr)
}

// peerAddresses returns the usable peers of a list, in order, and what is wrong with the
// others.
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
			} else {
				addrs[i] = addr
			}

			return nil
		})
	}
	_ = group.Wait() // the functions report through failures
	usable := slices.DeleteFunc(addrs, func(addr *types.NetAddress) bool { return addr == nil })

	return usable, errors.Join(failures...)
}

func peerAddress(entry string) (*types.NetAddress, error) {
	if err := tomlvalue.CheckPeer(entry); err != nil {
		return nil, err
	}
	addr, err := types.NewConfiguredNetAddress(entry)
	if err != nil || addr.Hostname != "" { // what a name resolves to may change
		return addr, err
	}

	return addr, addr.Validate()
}

func peerIDs(key, list string) (ids []types.ID, err error) {
	for _, entry := range tomlvalue.SplitList(list) {
		id, idErr := tomlvalue.ParseID(entry)
		if idErr != nil {
			err = errors.Join(err, &FieldError{fullName(key), entry, idErr.Error()})

			continue
		}
		ids = append(ids, id)
	}

	return ids, err
}

// ListenNetAddress returns the address at which the node with the ID listens:
// ListenAddress, or every address of the machine if that has no host. A host name is
// resolved within 3 s. An error is a *FieldError.
func (c *P2PConfig) ListenNetAddress(id types.ID) (types.NetAddress, error) {
	return netAddress("laddr", c.ListenAddress, id)
}

// AdvertisedNetAddress returns the address in the NodeInfo of the node with the ID:
// ExternalAddress, or else what ListenNetAddress returns. A host name is resolved within
// 3 s. An error is a *FieldError.
func (c *P2PConfig) AdvertisedNetAddress(id types.ID) (types.NetAddress, error) {
	if c.ExternalAddress == "" {
		return c.ListenNetAddress(id)
	}

	return netAddress("external_address", c.ExternalAddress, id)
}

func netAddress(key, address string, id types.ID) (types.NetAddress, error) {
	host, port, err := tomlvalue.SplitAddress(address)
	if host == "" {
		host = net.IPv4zero.String()
	}
	var addr *types.NetAddress
	if err == nil {
		hostPort := net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
		addr, err = types.NewNetAddressFromString(types.NetAddressString(id, hostPort))
	}
	if err != nil {
		return types.NetAddress{}, &FieldError{fullName(key), address, err.Error()}
	}
	addr.Hostname = "" // a node does not resolve its own address again

	return *addr, nil
}
