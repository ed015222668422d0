package bridge

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// These separate the identities that are derived from the bridge's key from any other use of
// it: those of nodes, and those of the bridge itself.
const (
	identityDomain = "tm2-libp2p/bridge/identity/1"
	ownDomain      = "tm2-libp2p/bridge/own-identity/1"
)

// deriveIdentity returns the key under which the bridge presents a node: HKDF
// (RFC 5869) of the bridge's seed over the node's ID. Only the holder of the
// bridge's key can derive it, and it is the same at every start.
func deriveIdentity(bridge ed25519.PrivateKey, node types.ID) (types.NodeKey, error) {
	return derive(bridge, identityDomain, string(node))
}

// ownKeys returns the keys of the bridge's identities on the native side, its own first. They
// too are the same at every start.
func ownKeys(bridge types.NodeKey, n int) ([]types.NodeKey, error) {
	keys := []types.NodeKey{bridge}
	for i := 1; i < n; i++ {
		key, err := derive(bridge.PrivKey, ownDomain, strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}

	return keys, nil
}

// NativeAddresses returns where the bridge with the key listens for native nodes: at
// NativeListen under the key's own ID, and for each further identity at the next port. Port 0
// takes a free one for each.
func (c Config) NativeAddresses(key types.NodeKey) ([]types.NetAddress, error) {
	keys, err := ownKeys(key, c.Identities)
	if err != nil {
		return nil, err
	}
	addrs := make([]types.NetAddress, len(keys))
	for i, own := range keys {
		addrs[i] = c.NativeListen
		addrs[i].ID = own.ID()
		if addrs[i].Port > 0 {
			addrs[i].Port += uint16(i)
		}
	}

	return addrs, nil
}

func derive(bridge ed25519.PrivateKey, domain, of string) (types.NodeKey, error) {
	seed, err := hkdf.Key(sha256.New, bridge.Seed(), nil, domain+"\x00"+of, ed25519.SeedSize)
	if err != nil {
		return types.NodeKey{}, fmt.Errorf("unable to derive the identity of %s: %w", of, err)
	}

	return types.NodeKey{PrivKey: ed25519.NewKeyFromSeed(seed)}, nil
}

// bridgedVersion marks the NodeInfo of a node that a bridge presents to a native node: there no
// delegation tells it. TM2 passes over an optional entry that it does not know.
var bridgedVersion = types.VersionInfo{Name: "bridged", Version: "v1.0.0", Optional: true}

// presentNative is present for a native node.
func presentNative(node types.NodeInfo, as types.ID) types.NodeInfo {
	node = present(node, as)
	node.VersionSet = slices.Clone(node.VersionSet)
	node.VersionSet.Set(bridgedVersion)

	return node
}

// isPresented reports whether a bridge presents the native node.
func isPresented(node types.NodeInfo) bool {
	_, marked := node.VersionSet.Get(bridgedVersion.Name)

	return marked
}

// IsOwnNodeInfo reports whether a NodeInfo is the one by which a bridge tells of itself over
// libp2p. Nothing proves it.
func IsOwnNodeInfo(info types.NodeInfo) bool {
	return info.Moniker == ownName && len(info.Channels) == 0
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
