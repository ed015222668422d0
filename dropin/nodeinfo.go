package dropin

import (
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/gnolang/gno/tm2/pkg/versionset"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// NodeInfo converts a NodeInfo to gno's type. The result shares the channels.
func NodeInfo(info types.NodeInfo) gnotypes.NodeInfo {
	return gnotypes.NodeInfo{
		VersionSet: VersionSet(info.VersionSet),
		NetAddress: NetAddress(info.NetAddress),
		Network:    info.Network,
		Software:   info.Software,
		Version:    info.Version,
		Channels:   info.Channels,
		Moniker:    info.Moniker,
		Other:      gnotypes.NodeInfoOther(info.Other),
	}
}

// FromNodeInfo converts a NodeInfo from gno's type. The result shares the channels.
func FromNodeInfo(info gnotypes.NodeInfo) types.NodeInfo {
	return types.NodeInfo{
		VersionSet: FromVersionSet(info.VersionSet),
		NetAddress: FromNetAddress(info.NetAddress),
		Network:    info.Network,
		Software:   info.Software,
		Version:    info.Version,
		Channels:   info.Channels,
		Moniker:    info.Moniker,
		Other:      types.NodeInfoOther(info.Other),
	}
}

// VersionSet converts a version set to gno's type, and nil to nil.
func VersionSet(set types.VersionSet) versionset.VersionSet {
	return convert(set, func(v types.VersionInfo) versionset.VersionInfo { return versionset.VersionInfo(v) })
}

// FromVersionSet converts a version set from gno's type, and nil to nil.
func FromVersionSet(set versionset.VersionSet) types.VersionSet {
	return convert(set, func(v versionset.VersionInfo) types.VersionInfo { return types.VersionInfo(v) })
}
