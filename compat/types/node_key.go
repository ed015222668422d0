package types

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/tm2-libp2p/tm2-libp2p/internal/atomicfile"
)

const (
	maxNodeKeySize = 4096                 // bytes of a key file; the longest known form has 160
	typedPrivKey   = "/tm.PrivKeyEd25519" // the type in the files of dialects A and B
)

var (
	// ErrInvalidNodeKey is returned, wrapped, for a node key that cannot be used.
	ErrInvalidNodeKey = errors.New("invalid node key")
	// ErrExposedNodeKey is returned, wrapped, for a key file that other users may read or
	// write. The error says how to mend the mode.
	ErrExposedNodeKey = errors.New("node key is not private")
)

// NodeKey is the identity of a node. It prints as its ID; only its JSON form holds the key.
type NodeKey struct {
	PrivKey ed25519.PrivateKey `json:"priv_key"` // seed and public key, 64 bytes
}

// GenerateNodeKey returns a new random key.
func GenerateNodeKey() *NodeKey {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails, as its documentation promises

	return &NodeKey{PrivKey: ed25519.NewKeyFromSeed(seed)}
}

// GeneratePersistedNodeKey writes a new random key to a file. It replaces an existing file,
// whose identity is lost.
func GeneratePersistedNodeKey(filePath string) (*NodeKey, error) {
	key := GenerateNodeKey()
	if err := key.save(filePath); err != nil {
		return nil, err
	}

	return key, nil
}

// LoadNodeKey reads a node_key.json of any dialect (docs/wire.md §4.1). The error wraps
// [ErrInvalidNodeKey] if the file has more than 4096 bytes or an unknown member, or if its
// public key does not belong to its seed. On Unix it wraps [ErrExposedNodeKey] if the file
// belongs to the user of this process and its mode gives anything to the group or to others.
func LoadNodeKey(filePath string) (*NodeKey, error) {
	file, err := os.Open(filePath)
	if err != nil {
		return nil, fmt.Errorf("unable to open node key: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("unable to open node key: %w", err)
	}
	if err := checkKeyMode(filePath, info); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxNodeKeySize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unable to read node key: %w", err)
	case len(raw) > maxNodeKeySize:
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrInvalidNodeKey, filePath, maxNodeKeySize)
	case !json.Valid(raw):
		return nil, fmt.Errorf("%w: %s is not a JSON file", ErrInvalidNodeKey, filePath)
	}
	key := new(NodeKey)
	if err := key.UnmarshalJSON(raw); err != nil {
		return nil, fmt.Errorf("unable to load node key from %s: %w", filePath, err)
	}

	return key, nil
}

// LoadOrMakeNodeKey reads the key file, or writes a new key if there is no file.
func LoadOrMakeNodeKey(filePath string) (*NodeKey, error) {
	key, err := LoadNodeKey(filePath)
	if errors.Is(err, fs.ErrNotExist) {
		return GeneratePersistedNodeKey(filePath)
	}

	return key, err
}

// ID returns the id of the node with this key; it is empty for a key that is not
// 64 bytes long.
func (nk NodeKey) ID() ID {
	if len(nk.PrivKey) != ed25519.PrivateKeySize {
		return ""
	}

	return IDFromPublicKey(ed25519.PublicKey(nk.PrivKey[ed25519.SeedSize:]))
}

// String returns a text without the key.
func (nk NodeKey) String() string { return "node key of " + nk.ID().String() }

// GoString keeps the key out of %#v.
func (nk NodeKey) GoString() string { return nk.String() }

// LogValue keeps the key out of logs.
func (nk NodeKey) LogValue() slog.Value { return slog.StringValue(nk.String()) }

// UnmarshalJSON reads the forms of all dialects: a base64 string of seed and public key, or an
// object with a type and that string. The receiver is unchanged after an error.
func (nk *NodeKey) UnmarshalJSON(data []byte) error {
	var file struct {
		PrivKey json.RawMessage `json:"priv_key"`
	}
	if err := unmarshalStrict(data, &file); err != nil {
		return err
	}
	encoded := file.PrivKey
	if bytes.HasPrefix(encoded, []byte("{")) {
		var typed struct {
			Type  string          `json:"@type"`
			Value json.RawMessage `json:"value"`
		}
		if err := unmarshalStrict(encoded, &typed); err != nil {
			return err
		}
		if typed.Type != typedPrivKey {
			return fmt.Errorf("%w: type %q instead of %q", ErrInvalidNodeKey, typed.Type, typedPrivKey)
		}
		encoded = typed.Value
	}
	// encoding/json would also take an array of numbers.
	if !bytes.HasPrefix(encoded, []byte(`"`)) {
		return fmt.Errorf("%w: no base64 string in priv_key", ErrInvalidNodeKey)
	}
	var read NodeKey
	if err := unmarshalStrict(encoded, &read.PrivKey); err != nil {
		return err
	}
	if err := read.validate(); err != nil {
		return err
	}
	*nk = read

	return nil
}

// unmarshalStrict is json.Unmarshal without unknown members.
func unmarshalStrict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()

	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidNodeKey, err)
	}

	return nil
}

func (nk NodeKey) validate() error {
	if len(nk.PrivKey) != ed25519.PrivateKeySize {
		return fmt.Errorf("%w: %d bytes instead of %d", ErrInvalidNodeKey, len(nk.PrivKey), ed25519.PrivateKeySize)
	}

	if !ed25519.NewKeyFromSeed(nk.PrivKey.Seed()).Equal(nk.PrivKey) {
		return fmt.Errorf("%w: the public half does not belong to the seed", ErrInvalidNodeKey)
	}

	return nil
}

// save writes the key, readable by its owner only. A crash leaves the old file or the
// new one.
func (nk NodeKey) save(filePath string) error {
	if err := nk.validate(); err != nil {
		return err
	}

	raw, err := json.MarshalIndent(nk, "", "  ")
	if err != nil {
		return fmt.Errorf("unable to encode node key: %w", err)
	}

	if err := atomicfile.Write(filePath, raw, 0o600); err != nil {
		return fmt.Errorf("unable to save node key: %w", err)
	}

	return nil
}
