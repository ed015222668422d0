package types

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/bech32"
)

const (
	idPrefix = "g" // the human-readable part of every ID
	idBytes  = 20  // how many bytes of the key's SHA-256 an ID holds
)

// ErrInvalidID is returned, wrapped, for a string that is not a node id.
var ErrInvalidID = errors.New("invalid node id")

// ID names a peer: bech32 with human-readable part "g" over the first 20 bytes
// of the SHA-256 of its Ed25519 public key (docs/wire.md §4.1). IDs are compared
// as strings, and only the lower-case bech32 form equals the ID of a key.
type ID string

// IDFromPublicKey returns the ID of the peer with the given key. For a key that is not 32
// bytes long it returns the empty ID, which no peer has.
func IDFromPublicKey(pub ed25519.PublicKey) ID {
	if len(pub) != ed25519.PublicKeySize {
		return ""
	}
	sum := sha256.Sum256(pub)
	encoded, err := bech32.EncodeFromBase256(idPrefix, sum[:idBytes])
	if err != nil {
		return "" // only for an invalid human-readable part
	}

	return ID(encoded)
}

// NewIDFromStrings returns the valid IDs among the strings, in order, and one error for
// each of the others.
func NewIDFromStrings(idStrs []string) (ids []ID, errs []error) {
	for _, s := range idStrs {
		if err := ID(s).Validate(); err != nil {
			errs = append(errs, err)
		} else {
			ids = append(ids, ID(s))
		}
	}

	return ids, errs
}

// IsZero reports whether the id is empty.
func (id ID) IsZero() bool { return id == "" }

// String returns the id as it is.
func (id ID) String() string { return string(id) }

// Validate returns an error that wraps [ErrInvalidID] unless the ID is bech32 or bech32m,
// all lower or all upper case, with human-readable part "g" and 20 bytes of data. It accepts
// what real nodes accept (docs/wire.md §4.1), so a valid ID need not equal the ID of any key.
func (id ID) Validate() error {
	if id == "" {
		return fmt.Errorf("%w: empty", ErrInvalidID)
	}
	prefix, groups, _, err := bech32.DecodeGeneric(string(id))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidID, err)
	}
	if prefix != idPrefix {
		return fmt.Errorf("%w: human-readable part %q instead of %q", ErrInvalidID, prefix, idPrefix)
	}
	data, err := bech32.ConvertBits(groups, 5, 8, false)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidID, err)
	}
	if len(data) != idBytes {
		return fmt.Errorf("%w: %d bytes instead of %d", ErrInvalidID, len(data), idBytes)
	}

	return nil
}
