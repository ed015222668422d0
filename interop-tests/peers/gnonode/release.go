package gnonode

import (
	"log/slog"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/discovery"
	"github.com/gnolang/gno/tm2/pkg/p2p/types"
)

// Release holds the differences of a release of gno.
type Release struct {
	// AllowDuplicateIP is the option that allows several peers with one IP. It is nil in
	// releases that always allow it.
	AllowDuplicateIP func(allow bool) p2p.SwitchOption
	// NewDiscovery makes the reactor of channel 0x50.
	NewDiscovery func(Discovery) (*discovery.Reactor, error)
	// BlockchainCapacity is the largest message on channel 0x40, in bytes.
	BlockchainCapacity int
}

// Discovery holds the arguments for a discovery reactor.
type Discovery struct {
	Dir    string // for its files; removed when the node stops
	Self   types.NetAddress
	Period time.Duration // how often it asks a random peer
	Logger *slog.Logger
}
