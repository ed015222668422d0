// Package validator assembles a TM2 node (consensus, mempool, block sync and an app) from
// the reactor packages of gno v1.7.1, without gno's bft/node. The caller makes the
// peer-to-peer switch, so that the same node runs on gno's own switch or on another one.
package validator

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	abci "github.com/gnolang/gno/tm2/pkg/bft/abci/types"
	"github.com/gnolang/gno/tm2/pkg/bft/appconn"
	bc "github.com/gnolang/gno/tm2/pkg/bft/blockchain"
	cs "github.com/gnolang/gno/tm2/pkg/bft/consensus"
	cnscfg "github.com/gnolang/gno/tm2/pkg/bft/consensus/config"
	mempl "github.com/gnolang/gno/tm2/pkg/bft/mempool"
	memcfg "github.com/gnolang/gno/tm2/pkg/bft/mempool/config"
	"github.com/gnolang/gno/tm2/pkg/bft/proxy"
	sm "github.com/gnolang/gno/tm2/pkg/bft/state"
	"github.com/gnolang/gno/tm2/pkg/bft/store"
	"github.com/gnolang/gno/tm2/pkg/bft/types"
	"github.com/gnolang/gno/tm2/pkg/bft/version"
	dbm "github.com/gnolang/gno/tm2/pkg/db"
	"github.com/gnolang/gno/tm2/pkg/events"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	verset "github.com/gnolang/gno/tm2/pkg/versionset"
)

// Switch is the switch of a node. Start starts every reactor before it admits a peer. Close
// removes every peer before it stops the reactors. Close also releases a switch that was not
// started.
type Switch interface {
	p2p.Switch

	Start() error
	Close() error
}

// SwitchFactory makes the switch of one node for the reactors and calls SetSwitch on each of
// them.
type SwitchFactory func(self Identity, reactors map[string]p2p.Reactor) (Switch, error)

// Identity holds the key and the NodeInfo of a node. Info.NetAddress is its listen address.
type Identity struct {
	Key  *p2ptypes.NodeKey
	Info p2ptypes.NodeInfo
}

// Config holds the parts of a node except its switch.
type Config struct {
	Name      string
	Genesis   *types.GenesisDoc
	PrivVal   types.PrivValidator // a key outside of the validator set makes a full node
	NodeKey   *p2ptypes.NodeKey
	Listen    *p2ptypes.NetAddress
	App       abci.Application // at height 0; the blocks of the store are replayed into it
	StateDB   dbm.DB           // kept over restarts
	BlockDB   dbm.DB
	Consensus *cnscfg.ConsensusConfig
	Mempool   *memcfg.MempoolConfig
	FastSync  bool
	Logger    *slog.Logger
}

// Node is a TM2 node. Its fields must not be changed.
type Node struct {
	Self     Identity
	Store    *store.BlockStore
	Mempool  *mempl.CListMempool
	ConsR    *cs.ConsensusReactor
	Events   events.EventSwitch
	Switch   Switch
	AppConns appconn.AppConns
}

// New assembles a node. It does not start the node.
func New(c Config, newSwitch SwitchFactory) (*Node, error) {
	n := &Node{
		Store:    store.NewBlockStore(c.BlockDB),
		Events:   events.NewEventSwitch(),
		AppConns: appconn.NewAppConns(proxy.NewLocalClientCreator(c.App)),
	}
	n.AppConns.SetLogger(c.logger("proxy"))
	state, err := n.replay(c)
	if err != nil {
		return nil, err
	}

	reactors := n.reactors(c, state)
	n.Self = Identity{Key: c.NodeKey, Info: nodeInfo(c, state, reactors)}
	if n.Switch, err = newSwitch(n.Self, reactors); err != nil {
		return nil, errors.Join(fmt.Errorf("switch of %s: %w", c.Name, err), n.AppConns.Stop())
	}

	return n, nil
}

func (c Config) logger(module string) *slog.Logger {
	return c.Logger.With("node", c.Name, "module", module)
}

// replay replays the stored blocks into the app and returns the state afterwards.
func (n *Node) replay(c Config) (sm.State, error) {
	state, err := sm.LoadStateFromDBOrGenesisDoc(c.StateDB, c.Genesis)
	if err != nil {
		return sm.State{}, fmt.Errorf("state of %s: %w", c.Name, err)
	}
	if err := n.AppConns.Start(); err != nil {
		return sm.State{}, fmt.Errorf("app of %s: %w", c.Name, err)
	}
	handshaker := cs.NewHandshaker(c.StateDB, state, n.Store, c.Genesis)
	handshaker.SetLogger(c.logger("consensus"))
	handshaker.SetEventSwitch(n.Events)
	if err := handshaker.Handshake(n.AppConns); err != nil {
		return sm.State{}, errors.Join(fmt.Errorf("replay of %s: %w", c.Name, err), n.AppConns.Stop())
	}

	return sm.LoadState(c.StateDB), nil
}

func (n *Node) reactors(c Config, state sm.State) map[string]p2p.Reactor {
	n.Mempool = mempl.NewCListMempool(c.Mempool, n.AppConns.Mempool(), state.LastBlockHeight,
		state.ConsensusParams.Block.MaxTxBytes, mempl.WithPreCheck(sm.TxPreCheck(state)))
	if c.Consensus.WaitForTxs() {
		n.Mempool.EnableTxsAvailable()
	}
	mempoolR := mempl.NewReactor(c.Mempool, n.Mempool)
	mempoolR.SetLogger(c.logger("mempool"))

	executor := sm.NewBlockExecutor(c.StateDB, c.logger("state"), n.AppConns.Consensus(), n.Mempool)
	consensus := cs.NewConsensusState(c.Consensus, state.Copy(), executor, n.Store, n.Mempool, cs.NoOpEvidencePool{})
	consensus.SetLogger(c.logger("consensus"))
	consensus.SetPrivValidator(c.PrivVal)
	n.ConsR = cs.NewConsensusReactor(consensus, c.FastSync)
	n.ConsR.SetLogger(c.logger("consensus"))
	n.ConsR.SetEventSwitch(n.Events)

	blockchainR := bc.NewBlockchainReactor(state.Copy(), executor, n.Store, c.FastSync, n.ConsR.SwitchToConsensus)
	blockchainR.SetLogger(c.logger("blockchain"))

	return map[string]p2p.Reactor{"MEMPOOL": mempoolR, "BLOCKCHAIN": blockchainR, "CONSENSUS": n.ConsR}
}

// nodeInfo returns the NodeInfo with the channels of the reactors. Peers send only on listed
// channels.
func nodeInfo(c Config, state sm.State, reactors map[string]p2p.Reactor) p2ptypes.NodeInfo {
	versions := slices.Clone(version.VersionSet)
	versions.Set(verset.VersionInfo{Name: "app", Version: state.AppVersion})
	info := p2ptypes.NodeInfo{
		VersionSet: versions,
		NetAddress: c.Listen,
		Network:    c.Genesis.ChainID,
		Version:    version.Version,
		Moniker:    c.Name,
		Other:      p2ptypes.NodeInfoOther{TxIndex: "off"},
	}
	for _, r := range reactors {
		for _, ch := range r.GetChannels() {
			info.Channels = append(info.Channels, ch.ID)
		}
	}

	return info
}

// Start starts the switch, which starts the reactors. When that fails, Start stops the node.
func (n *Node) Start() error {
	if err := n.Switch.Start(); err != nil {
		return errors.Join(err, n.Stop())
	}

	return nil
}

// Stop stops the node. The node signs nothing after Stop has returned.
func (n *Node) Stop() error {
	err := n.Switch.Close()

	return errors.Join(err, n.AppConns.Stop())
}
