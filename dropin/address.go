package dropin

import (
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// NetAddress is our address as gno's; nil stays nil. The IP is shared.
func NetAddress(addr *types.NetAddress) *gnotypes.NetAddress {
	if addr == nil {
		return nil
	}

	return &gnotypes.NetAddress{
		ID:       gnotypes.ID(addr.ID),
		IP:       addr.IP,
		Port:     addr.Port,
		Hostname: addr.Hostname,
	}
}

// FromNetAddress is gno's address as ours; nil stays nil. The IP is shared.
func FromNetAddress(addr *gnotypes.NetAddress) *types.NetAddress {
	if addr == nil {
		return nil
	}

	return &types.NetAddress{
		ID:       types.ID(addr.ID),
		IP:       addr.IP,
		Port:     addr.Port,
		Hostname: addr.Hostname,
	}
}

// NetAddresses is our addresses as gno's, in a new slice.
func NetAddresses(addrs []*types.NetAddress) []*gnotypes.NetAddress {
	gno := make([]*gnotypes.NetAddress, len(addrs))
	for i, addr := range addrs {
		gno[i] = NetAddress(addr)
	}

	return gno
}

// FromNetAddresses is gno's addresses as ours, in a new slice.
func FromNetAddresses(addrs []*gnotypes.NetAddress) []*types.NetAddress {
	ours := make([]*types.NetAddress, len(addrs))
	for i, addr := range addrs {
		ours[i] = FromNetAddress(addr)
	}

	return ours
}
