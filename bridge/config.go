package bridge

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// DefaultMaxPairs is how many pairs a bridge keeps when Config.MaxPairs is 0.
const DefaultMaxPairs = 128

// ErrInvalidConfig is wrapped by the errors of Config.Validate.
var ErrInvalidConfig = errors.New("invalid bridge configuration")

var errDuplicatePeer = errors.New("another entry has the same ID")

// Config says where a bridge listens and whom it may pair.
type Config struct {
	// NativeListen is where native nodes dial the bridge, Libp2pListen where
	// libp2p nodes do. Only IP and port count; port 0 takes a free one.
	NativeListen types.NetAddress
	Libp2pListen types.NetAddress
	// NativePeers are native nodes to pair libp2p nodes with that dial the
	// bridge; Libp2pPeers are libp2p nodes to pair native nodes with. Each has an
	// ID of its own, and an IP or a Hostname, which is looked up at each dial; as
	// long as there is no IP the node is named in no discovery answer.
	NativePeers []*types.NetAddress
	Libp2pPeers []*types.NetAddress
	// OnlyConfigured pairs native nodes with Libp2pPeers only. Otherwise the bridge
	// takes further libp2p nodes when these fail, or are paired with the node already:
	// those that have dialed it, those that its libp2p peers tell of, and those of the
	// DHT of Libp2pNetwork.
	OnlyConfigured bool
	// Libp2pNetwork is the network (chain ID) in whose DHT the bridge looks for further
	// libp2p nodes, through Libp2pPeers (docs/discovery-dht.md); empty means in none.
	Libp2pNetwork string
	// Libp2pQUIC listens for QUIC at the UDP port with the number of the TCP port of
	// Libp2pListen, and dials both.
	Libp2pQUIC bool
	// PrivatePeers are named in no discovery answer.
	PrivatePeers []types.ID
	// UnconditionalPeers are native nodes that get a pair when they dial the
	// bridge, whatever MaxPairs and MaxPairsPerIP say: each has its own slots.
	UnconditionalPeers []types.ID
	// Channels describes the channels to relay; nil means TM2Channels. A
	// channel that nodes have and that is not described is relayed with the
	// defaults.
	Channels []*compat.ChannelDescriptor
	// MConfig configures the native connections; the zero value means
	// mconn.DefaultMConnConfig.
	MConfig mconn.MConnConfig
	// MaxPairs bounds the pairs; 0 means DefaultMaxPairs. The nodes of one side open
	// three quarters of them at most (of four or more), as long as those of the other
	// side may be paired, too: with NativePeers, and unless OnlyConfigured is set
	// without Libp2pPeers. MaxPairsPerIP bounds
	// those that nodes at one IP address (IPv6: one /64) have opened; 0 means a
	// quarter of MaxPairs, and at least one. Pairs of UnconditionalPeers count
	// in neither.
	MaxPairs      int
	MaxPairsPerIP int
}

// Validate names the first field that the bridge cannot work with. The error
// wraps ErrInvalidConfig.
func (c *Config) Validate() error {
	if c.MaxPairs < 0 {
		return fmt.Errorf("%w: MaxPairs %d is negative", ErrInvalidConfig, c.MaxPairs)
	}
	if c.MaxPairsPerIP < 0 {
		return fmt.Errorf("%w: MaxPairsPerIP %d is negative", ErrInvalidConfig, c.MaxPairsPerIP)
	}
	if c.Libp2pNetwork != "" && c.OnlyConfigured {
		return fmt.Errorf("%w: Libp2pNetwork %q is of no use with OnlyConfigured", ErrInvalidConfig, c.Libp2pNetwork)
	}
	if c.Libp2pNetwork != "" {
		if err := discovery.CheckNetwork(c.Libp2pNetwork); err != nil {
			return fmt.Errorf("%w: Libp2pNetwork: %w", ErrInvalidConfig, err)
		}
	}
	for _, d := range c.Channels {
		if d == nil {
			return fmt.Errorf("%w: Channels has a nil entry", ErrInvalidConfig)
		}
		if err := d.Validate(); err != nil {
			return fmt.Errorf("%w: Channels: %w", ErrInvalidConfig, err)
		}
	}
	if err := validatePeers("NativePeers", c.NativePeers); err != nil {
		return err
	}
	if err := validatePeers("Libp2pPeers", c.Libp2pPeers); err != nil {
		return err
	}
	for _, id := range c.UnconditionalPeers {
		if err := id.Validate(); err != nil {
			return fmt.Errorf("%w: UnconditionalPeers: %q: %w", ErrInvalidConfig, id, err)
		}
	}
	if err := c.MConfig.Validate(); err != nil {
		return fmt.Errorf("%w: MConfig: %w", ErrInvalidConfig, err)
	}

	return nil
}

// pairsBoth reports whether nodes of both sides may be paired when they dial the bridge.
func (c *Config) pairsBoth() bool {
	return len(c.NativePeers) > 0 && (len(c.Libp2pPeers) > 0 || !c.OnlyConfigured)
}

func validatePeers(field string, peers []*types.NetAddress) error {
	seen := make(map[types.ID]bool, len(peers))
	for _, addr := range peers {
		if addr == nil {
			return fmt.Errorf("%w: %s has a nil entry", ErrInvalidConfig, field)
		}
		if err := checkPeer(addr); err != nil {
			return fmt.Errorf("%w: %s: %s: %w", ErrInvalidConfig, field, addr, err)
		}
		// A node that is asked twice at a time ends one of the two connections.
		if seen[addr.ID] {
			return fmt.Errorf("%w: %s: %s: %w", ErrInvalidConfig, field, addr, errDuplicatePeer)
		}
		seen[addr.ID] = true
	}

	return nil
}

// checkPeer checks that the address can be dialed, or is to be looked up then.
func checkPeer(addr *types.NetAddress) error {
	if addr.Hostname != "" {
		return addr.ID.Validate()
	}

	return addr.Validate()
}

func (c Config) libp2pOptions() []lp2p.Option {
	opts := []lp2p.Option{lp2p.WithLimits(c.libp2pLimits())}
	if c.Libp2pQUIC {
		opts = append(opts, lp2p.WithQUIC())
	}

	return opts
}

// libp2pLimits make room for all pairs, also if they are with one node, and for one
// connection to each node.
func (c Config) libp2pLimits() lp2p.Limits {
	pairs, targets := c.MaxPairs+len(c.UnconditionalPeers), len(c.Libp2pPeers)+maxLearned

	return lp2p.PeerLimits(uint64(pairs), uint64(targets), true)
}

func (c Config) withDefaults() Config {
	if c.Channels == nil {
		c.Channels = TM2Channels()
	}
	if c.MConfig == (mconn.MConnConfig{}) {
		c.MConfig = mconn.DefaultMConnConfig()
	}
	if c.MaxPairs == 0 {
		c.MaxPairs = DefaultMaxPairs
	}
	if c.MaxPairsPerIP == 0 {
		c.MaxPairsPerIP = max(c.MaxPairs/4, 1)
	}

	return c
}
