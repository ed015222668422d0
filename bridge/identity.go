package bridge

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// identityDomain separates the keys of presented nodes from any other use of the
// bridge's key.
const identityDomain = "tm2-libp2p/bridge/identity/1"

// deriveIdentity returns the key under which the bridge presents a node: HKDF
// (RFC 5869) of the bridge's seed over the node's ID. Only the holder of the
// bridge's key can derive it, and it is the same at every start.
func deriveIdentity(bridge ed25519.PrivateKey, node types.ID) (ed25519.PrivateKey, error) {
	info := identityDomain + "\x00" + string(node)
	seed, err := hkdf.Key(sha256.New, bridge.Seed(), nil, info, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("unable to derive the identity of %s: %w", node, err)
	}

	return ed25519.NewKeyFromSeed(seed), nil
}

func keyID(key ed25519.PrivateKey) types.ID {
	return types.NodeKey{PrivKey: key}.ID()
}

// unspecified is 0.0.0.0 or ::, of the family of ip.
func unspecified(ip net.IP) net.IP {
	if ip.To4() == nil && ip.To16() != nil {
		return net.IPv6unspecified
	}

	return net.IPv4zero
}

// present returns the NodeInfo under which the bridge shows a node to the other
// side: the node's own, with the ID the bridge uses there and no address, be it that of
// its RPC server.
func present(node types.NodeInfo, as types.ID) types.NodeInfo {
	addr := types.NetAddress{ID: as, IP: unspecified(node.NetAddress.IP), Port: node.NetAddress.Port}
	node.NetAddress = &addr
	node.Other.RPCAddress = ""

	return node
}
