package lp2p

import (
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// decodeNodeInfo decodes and checks what the remote tells of itself. The ID must be
// the one it has proved. Errors are refusals.
func decodeNodeInfo(raw []byte, id types.ID) (types.NodeInfo, error) {
	var node types.NodeInfo
	if err := node.UnmarshalBinary(raw); err != nil {
		return node, compat.Reject(compat.RejectInvalid, "%v", err)
	}
	if err := node.Validate(); err != nil {
		return node, compat.Reject(compat.RejectInvalid, "%v", err)
	}
	if node.ID() != id {
		return node, compat.Reject(compat.RejectIdentity, "node info has the ID %s instead of %s", node.ID(), id)
	}

	return node, nil
}

// compatible is TM2's rule, as a refusal.
func compatible(local, remote types.NodeInfo) error {
	if err := local.CompatibleWith(remote); err != nil {
		return compat.Reject(compat.RejectIncompatible, "%v", err)
	}

	return nil
}

// connInfo describes the connection of a session to the switch.
func connInfo(
	remote multiaddr.Multiaddr, id types.ID, behavior compat.PeerBehavior, outbound bool,
) compat.ConnInfo {
	info := compat.ConnInfo{
		Outbound: outbound, Persistent: behavior.IsPersistentPeer(id), Private: behavior.IsPrivatePeer(id),
		SocketAddr: &types.NetAddress{ID: id},
	}
	if ip, port, ok := endpoint(remote); ok {
		info.RemoteIP = ip
		info.SocketAddr.IP, info.SocketAddr.Port = ip, port
	}

	return info
}
