package bridge

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// identityDomain separates derived identities from any other use of the bridge's key.
const identityDomain = "tm2-libp2p/bridge/identity/1"

// deriveIdentity returns the key under which the bridge presents a node: HKDF
// (RFC 5869) of the bridge's seed over the node's ID. Only the holder of the
// bridge's key can derive it, and it is the same at every start.
func deriveIdentity(bridge ed25519.PrivateKey, node types.ID) (types.NodeKey, error) {
	info := identityDomain + "\x00" + string(node)
	seed, err := hkdf.Key(sha256.New, bridge.Seed(), nil, info, ed25519.SeedSize)
	if err != nil {
		return types.NodeKey{}, fmt.Errorf("unable to derive the identity of %s: %w", node, err)
	}

	return types.NodeKey{PrivKey: ed25519.NewKeyFromSeed(seed)}, nil
}

// PresentedID returns the ID under which the bridge with the key shows a node that dials it to
// the nodes of the other side. It is the same at every start.
func PresentedID(bridge types.NodeKey, node types.ID) (types.ID, error) {
	if err := node.Validate(); err != nil {
		return "", fmt.Errorf("%q: %w", node, err)
	}
	key, err := deriveIdentity(bridge.PrivKey, node.Canonical())
	if err != nil {
		return "", err
	}

	return key.ID(), nil
}

// present returns the NodeInfo under which the bridge shows a node to the other side: the
// node's own with another ID, an unspecified IP of the same family, and no RPC address.
func present(node types.NodeInfo, as types.ID) types.NodeInfo {
	addr := types.NetAddress{ID: as, IP: net.IPv4zero, Port: node.NetAddress.Port}
	if ip := node.NetAddress.IP; ip.To4() == nil && ip.To16() != nil {
		addr.IP = net.IPv6unspecified
	}
	node.NetAddress = &addr
	node.Other.RPCAddress = ""

	return node
}
