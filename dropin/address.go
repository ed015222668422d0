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

	gno := &gnotypes.NetAddress{ID: gnotypes.ID(addr.ID), IP: addr.IP, Port: addr.Port}
	setHostname(gno, addr.Hostname)

	return gno
}

// FromNetAddress converts an address from gno's type, and nil to nil. The result shares the
// IP.
func FromNetAddress(addr *gnotypes.NetAddress) *types.NetAddress {
	if addr == nil {
		return nil
	}

	return &types.NetAddress{ID: types.ID(addr.ID), IP: addr.IP, Port: addr.Port, Hostname: hostname(addr)}
}

// NetAddresses converts addresses to gno's type, in a new slice.
func NetAddresses(addrs []*types.NetAddress) []*gnotypes.NetAddress {
	return convert(addrs, NetAddress)
}

// FromNetAddresses converts addresses from gno's type, in a new slice.
func FromNetAddresses(addrs []*gnotypes.NetAddress) []*types.NetAddress {
	return convert(addrs, FromNetAddress)
}

// convert returns the result of f for each element, in a new slice, and nil for nil.
func convert[A, B any](all []A, f func(A) B) []B {
	if all == nil {
		return nil
	}
	converted := make([]B, len(all))
	for i, one := range all {
		converted[i] = f(one)
	}

	return converted
}

// convertValues returns the result of f for each value, in a new map.
func convertValues[K comparable, A, B any](all map[K]A, f func(A) B) map[K]B {
	converted := make(map[K]B, len(all))
	for key, one := range all {
		converted[key] = f(one)
	}

	return converted
}
