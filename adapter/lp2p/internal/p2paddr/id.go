package p2paddr

import (
	"crypto/ed25519"
	"fmt"
	"sync"

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

// IDs remembers the TM2 IDs of peer IDs, since the way from one to the other leads over a
// decoded key, a hash and Bech32. NewIDs makes one. It may be used concurrently.
type IDs struct {
	limit int

	mtx   sync.RWMutex
	known map[peer.ID]types.ID
}

// NewIDs returns a memory with room for so many peer IDs.
func NewIDs(limit int) *IDs { return &IDs{limit: limit, known: make(map[peer.ID]types.ID)} }

// Of is TM2ID.
func (c *IDs) Of(p peer.ID) (types.ID, error) {
	c.mtx.RLock()
	id, ok := c.known[p]
	c.mtx.RUnlock()
	if ok {
		return id, nil
	}
	id, err := TM2ID(p)
	if err != nil {
		return "", err // not kept: such a peer ID may have any length
	}
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if len(c.known) >= c.limit {
		clear(c.known) // those in use come back at once
	}
	c.known[p] = id

	return id, nil
}
