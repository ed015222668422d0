package addrbook

import (
	"log/slog"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// What a book holds unless it is told otherwise.
const (
	// DefaultMaxPeers is how many addresses a book holds, as in TM2.
	DefaultMaxPeers = 1000

	// DefaultMaxHints is how many hints, addresses at which nobody has answered, one
	// source may have in the book, and all sources of one network together: two whole
	// answers of peer exchange. An attacker needs peers in 16 networks to fill the book
	// with hints, and displaces an address that has answered only where its network has more
	// than its share of a full book.
	DefaultMaxHints = 64
)

// Option configures a Book while it is opened. Open reports one that cannot be used.
type Option func(*Book)

// WithMaxPeers sets how many addresses the book holds; it must be positive.
func WithMaxPeers(maxPeers int) Option {
	return func(b *Book) { b.maxPeers = maxPeers }
}

// WithMaxHints sets how many hints one source, or one network of sources, may have in
// the book; it must be positive.
func WithMaxHints(maxHints int) Option {
	return func(b *Book) { b.maxHints = maxHints }
}

// WithAllowDuplicateIP lifts the limits on addresses, and on failed dials, at one IP. It
// is for a network where many nodes share a public IP; give it the value of the switch's
// allow_duplicate_ip.
func WithAllowDuplicateIP(allow bool) Option {
	return func(b *Book) { b.endpoints.anyPerHost = allow }
}

// WithPrivatePeers names peers of which the book holds no address, also not one
// from its file. It is to be given the same IDs as the switch: the reactor finds
// out that a peer is private only when it connects.
func WithPrivatePeers(peerIDs []types.ID) Option {
	return func(b *Book) {
		for _, id := range peerIDs {
			b.private[id.Canonical()] = struct{}{}
		}
	}
}

// WithUnsavedPeers names peers of which the file has nothing, neither an address nor that
// they have told one. In memory the book knows them as others.
func WithUnsavedPeers(peerIDs []types.ID) Option {
	return func(b *Book) {
		for _, id := range peerIDs {
			b.secret[id.Canonical()] = struct{}{}
		}
	}
}

// WithLogger sets the logger of the book, which discards otherwise.
func WithLogger(logger *slog.Logger) Option {
	return func(b *Book) {
		if logger != nil {
			b.logger = logger
		}
	}
}
