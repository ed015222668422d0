package gnonode

import (
	"log/slog"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/discovery"
	"github.com/gnolang/gno/tm2/pkg/p2p/types"
)

// Release is what a release of gno has of its own.
type Release struct {
	// AllowDuplicateIP is the option that lets several peers have one IP; nil
	// where they always may.
	AllowDuplicateIP func(allow bool) p2p.SwitchOption
	// NewDiscovery makes the reactor of channel 0x50.
	NewDiscovery func(Discovery) (*discovery.Reactor, error)
	// BlockchainCapacity is the largest message on channel 0x40, in bytes.
	BlockchainCapacity int
}

// Discovery is what a discovery reactor is made from.
type Discovery struct {
	Dir    string // for its files; removed when the node stops
	Self   types.NetAddress
	Period time.Duration // how often it asks a random peer
	Logger *slog.Logger
}
