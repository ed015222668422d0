package addrbook

import (
	"fmt"
	"log/slog"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// DefaultMaxPeers is how many addresses a book holds, as in TM2.
const DefaultMaxPeers = 1000

// Option configures a Book while it is opened.
type Option func(*Book) error

// WithMaxPeers sets how many addresses the book holds, which must be positive.
func WithMaxPeers(maxPeers int) Option {
	return func(b *Book) error {
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
func WithPrivatePeers(peerIDs []types.ID) Option {
	return func(b *Book) error {
		for _, id := range peerIDs {
			b.private[id] = struct{}{}
		}

		return nil
	}
}

// WithLogger sets the logger of the book, which discards otherwise.
func WithLogger(logger *slog.Logger) Option {
	return func(b *Book) error {
		if logger != nil {
			b.logger = logger
		}

		return nil
	}
}
