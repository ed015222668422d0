package discovery

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxIDs bounds the TM2 IDs that are remembered: twice the peers in the book.
const maxIDs = 2 * maxKnown

// tm2IDs remembers the TM2 IDs of peer IDs. kad-dht asks about each peer several
// times for each query, and the way from a peer ID to a TM2 ID leads over a decoded
// key, a hash and Bech32.
type tm2IDs struct {
	mtx   sync.RWMutex
	known map[peer.ID]types.ID
}

func newTM2IDs() *tm2IDs { return &tm2IDs{known: make(map[peer.ID]types.ID)} }

// of is lp2p.TM2ID.
func (c *tm2IDs) of(p peer.ID) (types.ID, error) {
	c.mtx.RLock()
	id, ok := c.known[p]
	c.mtx.RUnlock()
	if ok {
		return id, nil
	}
	id, err := lp2p.TM2ID(p)
	if err != nil {
		return "", err // not kept: such a peer ID may have any length
	}
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if len(c.known) >= maxIDs {
		clear(c.known) // those in use come back at once
	}
	c.known[p] = id

	return id, nil
}
