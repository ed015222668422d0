// Package probe makes switches with one reactor that measures.
package probe

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"

	"github.com/gnolang/gno/tm2/pkg/bft/version"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	p2pcfg "github.com/gnolang/gno/tm2/pkg/p2p/config"
	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/validator"
)

// Config configures a switch. Everything else is as gno's default configuration says.
type Config struct {
	Stack  string // of package cluster
	Key    []byte // of the node
	Listen string // ID@IP:port
	Dial   string // persistent peers, ID@IP:port
	// Rate is the send and receive rate in bytes per second; 0 is gno's default.
	Rate int64
	// MaxInbound is how many inbound peers the node takes; 0 is gno's default.
	MaxInbound uint64
}

// NewSwitch returns a switch that listens, has not started, and logs nothing.
func NewSwitch(c Config, r p2p.Reactor) (validator.Switch, error) {
	stack, err := cluster.StackNamed(c.Stack)
	if err != nil {
		return nil, err
	}
	listen, err := p2ptypes.NewNetAddressFromString(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	key := &p2ptypes.NodeKey{}
	if copy(key.PrivKey[:], c.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("node key is too short")
	}

	return stack.New(cluster.Setup{
		Self:     validator.Identity{Key: key, Info: nodeInfo(listen, r)},
		Reactors: map[string]p2p.Reactor{"PROBE": r},
		P2P:      c.p2p(listen),
		Logger:   slog.New(slog.DiscardHandler),
	})
}

func (c Config) p2p(listen *p2ptypes.NetAddress) *p2pcfg.P2PConfig {
	config := p2pcfg.DefaultP2PConfig()
	config.ListenAddress = "tcp://" + listen.DialString()
	config.PersistentPeers = c.Dial
	if c.Rate > 0 {
		config.SendRate, config.RecvRate = c.Rate, c.Rate
	}
	if c.MaxInbound > 0 {
		config.MaxNumInboundPeers = c.MaxInbound
	}

	return config
}

func nodeInfo(listen *p2ptypes.NetAddress, r p2p.Reactor) p2ptypes.NodeInfo {
	info := p2ptypes.NodeInfo{
		VersionSet: version.VersionSet, NetAddress: listen, Network: "wan", Version: version.Version, Moniker: "probe",
		Other: p2ptypes.NodeInfoOther{TxIndex: "off"},
	}
	for _, c := range r.GetChannels() {
		info.Channels = append(info.Channels, c.ID)
	}

	return info
}
