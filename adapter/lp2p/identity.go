package lp2p

import (
	"crypto/ed25519"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Identity is the node that a session presents to the remote.
type Identity struct {
	// Key proves the identity. A zero Key stands for the node's own.
	Key ed25519.PrivateKey
	// NodeInfo is sent in the handshake; its ID must be that of Key.
	NodeInfo types.NodeInfo
	// Host is where this node has seen the other one: an IPv4 address or an IPv6 /64. The
	// remote counts the peer as one from there, as far as it trusts this node. A remote
	// older than that refuses the session as incompatible. The zero value is not told, and
	// neither is that of the node's own identity.
	Host netip.Prefix
}

// PeerIDFromPublicKey returns the libp2p peer ID of a node's public key: the identity
// multihash of the key (libp2p peer-ids specification). The key has 32 bytes.
func PeerIDFromPublicKey(pub ed25519.PublicKey) (peer.ID, error) {
	return p2paddr.PeerIDFromPublicKey(pub)
}

// TM2ID returns the TM2 ID of a node with the peer ID. It fails for a peer ID that does
// not hold an Ed25519 key.
func TM2ID(id peer.ID) (types.ID, error) { return p2paddr.TM2ID(id) }
