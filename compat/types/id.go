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
// as strings; only the lower-case bech32 form ever equals the ID of a key, so a
// text becomes an ID by [ParseID].
type ID string

// IDFromPublicKey returns the ID of the peer with the given key. For a key that is not 32
// bytes long it returns the empty ID, which no peer has.
func IDFromPublicKey(pub ed25519.PublicKey) ID {
	if len(pub) != ed25519.PublicKeySize {
		return ""
	}
	sum := sha256.Sum256(pub)

	return encodeID(sum[:idBytes])
}

func encodeID(data []byte) ID {
	encoded, err := bech32.EncodeFromBase256(idPrefix, data)
	if err != nil {
		return "" // only for an invalid human-readable part
	}

	return ID(encoded)
}

// ParseID returns the ID in lower-case bech32 of a text that is valid as
// [ID.Validate] says: a text in upper case or in bech32m names the same peer. An
// error wraps [ErrInvalidID].
func ParseID(text string) (ID, error) {
	data, err := decodeID(text)
	if err != nil {
		return "", err
	}

	return encodeID(data), nil
}

// Canonical returns the form in which the ID of a key is written, or an invalid id
// as it is.
func (id ID) Canonical() ID {
	if canonical, err := ParseID(string(id)); err == nil {
		return canonical
	}

	return id
}

// NewIDFromStrings returns the valid IDs among the strings as [ParseID] does, in order,
// and one error for each of the others.
func NewIDFromStrings(idStrs []string) (ids []ID, errs []error) {
	for _, s := range idStrs {
		id, err := ParseID(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", s, err))
		} else {
			ids = append(ids, id)
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
	_, err := decodeID(string(id))

	return err
}

func decodeID(text string) ([]byte, error) {
	if text == "" {
		return nil, fmt.Errorf("%w: empty", ErrInvalidID)
	}

	prefix, groups, _, err := bech32.DecodeGeneric(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidID, err)
	}
	if prefix != idPrefix {
		return nil, fmt.Errorf("%w: human-readable part %q instead of %q", ErrInvalidID, prefix, idPrefix)
	}
	data, err := bech32.ConvertBits(groups, 5, 8, false)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidID, err)
	}
	if len(data) != idBytes {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", ErrInvalidID, len(data), idBytes)
	}

	return data, nil
}
