package simulation

import (
	"errors"
	"time"
)

// Config configures a simulation.
type Config struct {
	Nodes int    // including the seed node
	Seed  uint64 // of the simulation's random choices

	MaxInbound, MaxOutbound uint64 // of every switch

	// PeerExchange gives nodes TM2's discovery, beside the DHT on libp2p.
	PeerExchange bool
	// SeedUptime is after how long the seed hangs up, as a node with seed_mode. It then has
	// room for all nodes. Zero makes it a node like the others.
	SeedUptime time.Duration

	JoinWindow  time.Duration // the nodes join at random instants within it
	Idle        time.Duration // how long the formed network is measured
	Churn       float64       // fraction of the nodes, without the seed, that leaves; as many join
	ChurnWindow time.Duration // they leave and join at random instants within it

	Patience time.Duration // longest virtual time for the network to form, and to recover

	Progress func(format string, args ...any) // called at the end of a phase, and in it every 10 s; may be nil
}

// DefaultConfig returns the configuration of a network with TM2's limits. Below 50 nodes the
// outbound limit is a fifth of the nodes. A node with TM2's 10 slots would know almost all of
// so few others, and a network of such nodes cannot fall apart.
func DefaultConfig(nodes int) Config {
	return Config{
		Nodes: nodes, Seed: 1, MaxInbound: 40, MaxOutbound: min(10, uint64(nodes)/5),
		JoinWindow: 10 * time.Second, Idle: 10 * time.Minute,
		Churn: 0.3, ChurnWindow: time.Minute, Patience: 30 * time.Minute,
	}
}

// Validate returns an error for a configuration that cannot be simulated.
func (c Config) Validate() error {
	switch {
	case c.Nodes < 2 || c.Nodes > maxHosts/2:
		return errors.New("number of nodes is out of range")
	case c.MaxOutbound > c.MaxInbound || 2*c.MaxOutbound >= uint64(c.Nodes):
		return errors.New("outbound limit is more than there are peers or slots for")
	case c.JoinWindow < 0 || c.Idle < 0 || c.ChurnWindow < 0 || c.SeedUptime < 0 || c.Patience <= 0:
		return errors.New("a time is out of range")
	case c.Churn < 0 || c.Churn > 1:
		return errors.New("churn is not a part of one")
	default:
		return nil
	}
}
