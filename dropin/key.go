package dropin

import (
	"fmt"
	"slices"

	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// NodeKey converts a node key to gno's type. It returns an error that wraps
// types.ErrInvalidNodeKey for a key that is not 64 bytes long.
func NodeKey(key types.NodeKey) (gnotypes.NodeKey, error) {
	var gno gnotypes.NodeKey
	if len(key.PrivKey) != len(gno.PrivKey) {
		return gnotypes.NodeKey{}, fmt.Errorf("%w: %d bytes", types.ErrInvalidNodeKey, len(key.PrivKey))
	}
	copy(gno.PrivKey[:], key.PrivKey)

	return gno, nil
}

// FromNodeKey converts a node key from gno's type. It copies the key.
func FromNodeKey(key gnotypes.NodeKey) types.NodeKey {
	return types.NodeKey{PrivKey: slices.Clone(key.PrivKey[:])}
}

// IDs converts IDs to gno's type.
func IDs(ids []types.ID) []gnotypes.ID {
	return convert(ids, func(id types.ID) gnotypes.ID { return gnotypes.ID(id) })
}
