package addrbook

import (
	"crypto/ed25519"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxKnown bounds the peers of which a key or a stack is remembered, with or without
// an address. Beyond it a random one is forgotten.
const maxKnown = 8192

// peer is what the book knows of a peer wherever it is.
type peer struct {
	key   ed25519.PublicKey // nil if unknown; it cannot become wrong, since the ID is its hash
	stack types.Stack       // on which it answered last; empty if unknown
}

// peer returns what is known of the ID, for the caller to change. The caller holds the
// lock.
func (b *Book) peer(id types.ID) *peer {
	p := b.peers[id]
	if p != nil {
		return p
	}
	for other := range b.peers {
		if len(b.peers) < maxKnown {
			break
		}
		delete(b.peers, other)
	}
	p = &peer{}
	b.peers[id] = p
	b.unsaved.renewed = true

	return p
}

// LearnKey remembers the public key behind a TM2 ID, so that a transport which dials by
// key need not ask for it. A key that is not 32 bytes long is ignored.
func (b *Book) LearnKey(key ed25519.PublicKey) {
	id := types.IDFromPublicKey(key)
	if id == "" {
		return
	}
	b.mtx.Lock()
	defer b.mtx.Unlock()
	if p := b.peer(id); p.key == nil {
		p.key = slices.Clone(key)
	}
}

// Key returns the public key behind a TM2 ID, or nil if the book has not learned it.
// The caller must not change it.
func (b *Book) Key(id types.ID) ed25519.PublicKey { return b.known(id).key }

// LastStack returns the stack on which the peer answered last, or none if the book
// does not know.
func (b *Book) LastStack(id types.ID) types.Stack { return b.known(id).stack }

func (b *Book) known(id types.ID) peer {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	if p := b.peers[id]; p != nil {
		return *p
	}

	return peer{}
}
