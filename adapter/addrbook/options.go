package addrbook

import (
	"log/slog"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// DefaultMaxPeers is how many addresses a book holds, as in TM2.
const DefaultMaxPeers = 1000

// Option configures an AddrBook while it is opened. OpenAddrBook reports one that
// cannot be used.
type Option func(*AddrBook)

// WithMaxPeers sets how many addresses the book holds; it must be positive.
func WithMaxPeers(maxPeers int) Option {
	return func(b *AddrBook) { b.maxPeers = maxPeers }
}

// WithPrivatePeers names peers of which the book holds no address, also not one
// from its file. It is to be given the same IDs as the switch: the reactor finds
// out that a peer is private only when it connects.
func WithPrivatePeers(peerIDs []types.ID) Option {
	return func(b *AddrBook) {
		for _, id := range peerIDs {
			b.private[id.Canonical()] = struct{}{}
		}
	}
}

// WithLogger sets the logger of the book, which discards otherwise.
func WithLogger(logger *slog.Logger) Option {
	return func(b *AddrBook) {
		if logger != nil {
			b.logger = logger
		}
	}
}
