package addrbook

import (
	"fmt"
	"log/slog"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// DefaultMaxPeers is how many addresses a book holds, as in TM2.
const DefaultMaxPeers = 1000

// BookOption configures an AddrBook while it is opened.
type BookOption func(*AddrBook) error

// WithMaxPeers sets how many addresses the book holds; it must be positive.
func WithMaxPeers(maxPeers int) BookOption {
	return func(b *AddrBook) error {
		if maxPeers <= 0 {
			return fmt.Errorf("a book of %d addresses", maxPeers)
		}
		b.maxPeers = maxPeers

		return nil
	}
}

// WithPrivatePeers names peers of which the book holds no address, also not one
// from its file. It is to be given the same IDs as the switch: the reactor finds
// out that a peer is private only when it connects.
func WithPrivatePeers(peerIDs []types.ID) BookOption {
	return func(b *AddrBook) error {
		for _, id := range peerIDs {
			b.private[id] = struct{}{}
		}

		return nil
	}
}

// WithLogger sets the logger of the book, which discards otherwise.
func WithLogger(logger *slog.Logger) BookOption {
	return func(b *AddrBook) error {
		if logger != nil {
			b.logger = logger
		}

		return nil
	}
}
