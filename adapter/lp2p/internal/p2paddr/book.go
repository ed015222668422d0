package p2paddr

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Learn keeps in the book the peer ID behind a TM2 ID, which it returns, so that a dial
// needs no probe. It fails for a peer without a TM2 ID (see TM2ID).
func Learn(book *addrbook.Book, p peer.ID) (types.ID, error) {
	key, err := PublicKey(p)
	if err != nil {
		return "", err
	}
	book.LearnKey(key)

	return types.IDFromPublicKey(key), nil
}

// Known returns the peer ID behind a TM2 ID if the book has it.
func Known(book *addrbook.Book, id types.ID) (peer.ID, bool) {
	p, err := PeerIDFromPublicKey(book.Key(id))

	return p, err == nil
}
