package gnonode

import (
	"encoding/hex"
	"fmt"

	"github.com/gnolang/gno/tm2/pkg/bft/version"
	"github.com/gnolang/gno/tm2/pkg/p2p/discovery"
	"github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/gnolang/gno/tm2/pkg/versionset"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/program"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// nodeInfo returns a NodeInfo with all fields set, to values that a real node could have.
func nodeInfo(c program.Config, addr types.NetAddress) types.NodeInfo {
	versions := append(versionset.VersionSet(nil), version.VersionSet...)
	versions.Set(versionset.VersionInfo{Name: "app", Version: "dev"})
	versions.Set(versionset.VersionInfo{Name: "spare", Version: "v3.2.1", Optional: true})
	channels := c.Channels
	if c.Discovery {
		channels = append(channels[:len(channels):len(channels)], discovery.Channel)
	}

	return types.NodeInfo{
		VersionSet: versions,
		NetAddress: &addr,
		Network:    c.Network,
		Software:   "gnopeer",
		Version:    version.Version,
		Channels:   channels,
		Moniker:    c.Moniker,
		Other:      types.NodeInfoOther{TxIndex: "on", RPCAddress: "tcp://127.0.0.1:26657"},
	}
}

func describe(info types.NodeInfo) *protocol.NodeInfo {
	d := &protocol.NodeInfo{
		NetAddress: info.NetAddress.String(),
		Network:    info.Network,
		Software:   info.Software,
		Version:    info.Version,
		Channels:   hex.EncodeToString(info.Channels),
		Moniker:    info.Moniker,
		TxIndex:    info.Other.TxIndex,
		RPCAddress: info.Other.RPCAddress,
	}
	for _, v := range info.VersionSet {
		d.Versions = append(d.Versions, fmt.Sprintf("%s %s %t", v.Name, v.Version, v.Optional))
	}

	return d
}
