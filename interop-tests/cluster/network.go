package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	cnscfg "github.com/gnolang/gno/tm2/pkg/bft/consensus/config"
	"github.com/gnolang/gno/tm2/pkg/bft/privval"
	"github.com/gnolang/gno/tm2/pkg/bft/types"
	"github.com/gnolang/gno/tm2/pkg/crypto"
	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
)

// chainID is the chain ID of all networks.
const chainID = "cluster"

// DefaultPower is the voting power of a validator.
const DefaultPower = 10

// Config configures the nodes of a network.
type Config struct {
	// Dir is the directory for the signing state, so that a validator that restarts signs
	// nothing twice. Each vote writes to it. If it is empty, the state is not stored and no
	// validator may restart.
	Dir string
	// Consensus returns the timeouts of one node; nil means gno's timeouts for tests.
	Consensus func() *cnscfg.ConsensusConfig
	// Logger is the logger of all nodes; nil discards.
	Logger *slog.Logger
}

// Network is a chain: its genesis and its nodes. Validators must be added before other
// nodes.
type Network struct {
	config  Config
	genesis *types.GenesisDoc
	members []*Member

	mtx     sync.Mutex
	changed chan struct{} // closed and replaced with every block and round step
}

// NewNetwork returns a network without nodes.
func NewNetwork(config Config) *Network {
	if config.Consensus == nil {
		config.Consensus = cnscfg.TestConsensusConfig
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}

	return &Network{
		config:  config,
		genesis: &types.GenesisDoc{GenesisTime: time.Now(), ChainID: chainID},
		changed: make(chan struct{}),
	}
}

// AddValidator adds a validator. It does not start the node.
func (n *Network) AddValidator(stack Stack) (*Member, error) {
	m, err := n.Add(stack)
	if err != nil {
		return nil, err
	}
	n.addGenesis(m.Name, m.priv.PubKey(), DefaultPower)

	return m, nil
}

func (n *Network) addGenesis(name string, key crypto.PubKey, power int64) {
	n.genesis.Validators = append(n.genesis.Validators, types.GenesisValidator{
		Address: key.Address(), PubKey: key, Power: power, Name: name,
	})
}

// Add adds a full node, which does not vote. It does not start the node.
func (n *Network) Add(stack Stack) (*Member, error) {
	key := p2ptypes.GenerateNodeKey()
	addr, err := freeAddress(key.ID())
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%d-%s", len(n.members), stack.Name)
	priv, err := n.newPrivValidator(name)
	if err != nil {
		return nil, fmt.Errorf("validator key of %s: %w", name, err)
	}
	m := newMember(n, name, stack, key, addr, priv)
	n.members = append(n.members, m)

	return m, nil
}

func (n *Network) newPrivValidator(name string) (types.PrivValidator, error) {
	if n.config.Dir == "" {
		return types.NewMockPV(), nil
	}

	return privval.NewPrivValidator(types.NewMockSigner(), n.signState(name))
}

// signState returns the path of a node's signing state.
func (n *Network) signState(name string) string { return filepath.Join(n.config.Dir, name+".json") }

// Members returns all nodes in the order in which they were added.
func (n *Network) Members() []*Member { return n.members }

// Start starts all nodes. After an error, Stop stops those that were started.
func (n *Network) Start() error {
	for _, m := range n.members {
		if err := m.Start(false); err != nil {
			return err
		}
	}

	return nil
}

// Stop stops all running nodes.
func (n *Network) Stop() error {
	var errs []error
	for _, m := range n.members {
		if m.Running() {
			errs = append(errs, m.Stop())
		}
	}

	return errors.Join(errs...)
}

// notify wakes Await.
func (n *Network) notify() {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *Network) change() <-chan struct{} {
	n.mtx.Lock()
	defer n.mtx.Unlock()

	return n.changed
}

// Await waits until the check returns nil. It calls the check after each block and each
// round step of any node. When the context ends, the error includes the last error of the
// check.
func (n *Network) Await(ctx context.Context, check func() error) error {
	for {
		changed := n.change()
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}
