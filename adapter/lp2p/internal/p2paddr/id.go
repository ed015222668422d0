package p2paddr

import (
	"crypto/ed25519"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// PeerIDFromPublicKey returns the libp2p peer ID of a node key: the identity
// multihash of the key (libp2p peer-ids specification). It fails for a key that
// is not 32 bytes long.
func PeerIDFromPublicKey(pub ed25519.PublicKey) (peer.ID, error) {
	key, err := crypto.UnmarshalEd25519PublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("unable to make a peer ID: %w", err)
	}

	return peer.IDFromPublicKey(key)
}

// TM2ID returns the TM2 ID of a libp2p peer. It fails for a peer whose key is not
// Ed25519 or not part of its peer ID.
func TM2ID(id peer.ID) (types.ID, error) {
	pub, err := PublicKey(id)
	if err != nil {
		return "", err
	}

	return types.IDFromPublicKey(pub), nil
}

// PublicKey extracts the Ed25519 key from a peer ID.
func PublicKey(id peer.ID) (ed25519.PublicKey, error) {
	key, err := id.ExtractPublicKey()
	if err != nil {
		return nil, fmt.Errorf("peer %s does not contain its key: %w", id, err)
	}

	if key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("peer %s has a key of type %s instead of Ed25519", id, key.Type())
	}

	raw, err := key.Raw()
	if err != nil {
		return nil, fmt.Errorf("peer %s: %w", id, err)
	}

	return raw, nil
}
