package dropin

import (
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// NetAddress converts an address to gno's type, and nil to nil. The result shares the IP.
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

// FromNetAddress converts an address from gno's type, and nil to nil. The result shares the
// IP.
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

// NetAddresses converts addresses to gno's type, in a new slice.
func NetAddresses(addrs []*types.NetAddress) []*gnotypes.NetAddress {
	gno := make([]*gnotypes.NetAddress, len(addrs))
	for i, addr := range addrs {
		gno[i] = NetAddress(addr)
	}

	return gno
}

// FromNetAddresses converts addresses from gno's type, in a new slice.
func FromNetAddresses(addrs []*gnotypes.NetAddress) []*types.NetAddress {
	ours := make([]*types.NetAddress, len(addrs))
	for i, addr := range addrs {
		ours[i] = FromNetAddress(addr)
	}

	return ours
}
