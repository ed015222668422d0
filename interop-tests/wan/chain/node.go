package chain

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/gnolang/gno/tm2/pkg/amino"
	"github.com/gnolang/gno/tm2/pkg/bft/abci/example/kvstore"
	cnscfg "github.com/gnolang/gno/tm2/pkg/bft/consensus/config"
	memcfg "github.com/gnolang/gno/tm2/pkg/bft/mempool/config"
	"github.com/gnolang/gno/tm2/pkg/bft/types"
	"github.com/gnolang/gno/tm2/pkg/crypto"
	dbm "github.com/gnolang/gno/tm2/pkg/db"
	"github.com/gnolang/gno/tm2/pkg/db/memdb"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	p2pcfg "github.com/gnolang/gno/tm2/pkg/p2p/config"
	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/validator"
)

// nodeRole is the role of a process that runs a node.
const nodeRole = "wan-node"

// Roles returns the roles of child processes that this package needs (child.Main).
func Roles() map[string]child.Role { return map[string]child.Role{nodeRole: runNode} }

// nodeSpec configures the process of a node.
type nodeSpec struct {
	Name, Stack string
	Genesis     json.RawMessage // amino JSON, like the key
	PrivKey     json.RawMessage // of the validator; a key outside of the genesis makes a full node
	NodeKey     []byte
	Listen      string // ID@IP:port
	Dials       string // persistent peers
	Rate        int64  // send and receive rate in bytes per second; 0 is gno's default
	FastSync    bool
	// BlockBytes is the size of the transactions of each block that the node proposes.
	BlockBytes int
	// History is how many blocks the node makes alone, as the only validator, before it serves
	// them as a full node.
	History int64
}

// node is a running node.
type node struct {
	spec      nodeSpec
	tell      func(event)
	priv      types.PrivValidator
	listen    *p2ptypes.NetAddress
	stack     cluster.Stack
	genesis   *types.GenesisDoc
	stateDB   dbm.DB
	blockDB   dbm.DB
	validator *validator.Node
	load      *load
	alone     bool // it makes its history: the next block does not wait for others
}

// runNode is the main function of the process.
func runNode(ctx context.Context, specification json.RawMessage, say func(string)) error {
	var spec nodeSpec
	if err := json.Unmarshal(specification, &spec); err != nil {
		return err
	}
	n, err := newNode(spec, func(e event) { say(e.line()) })
	if err != nil {
		return err
	}
	if spec.History > 0 {
		if err := n.makeHistory(ctx); err != nil {
			return err
		}
	}
	if err := n.start(); err != nil {
		return err
	}
	n.tell(event{Started: true})
	<-ctx.Done()

	return n.stop()
}

func newNode(spec nodeSpec, tell func(event)) (*node, error) {
	n := &node{spec: spec, tell: tell, stateDB: memdb.NewMemDB(), blockDB: memdb.NewMemDB()}
	var priv crypto.PrivKey
	if err := amino.UnmarshalJSON(spec.PrivKey, &priv); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	n.priv = types.NewMockPVWithPrivKey(priv)
	var err error
	if n.genesis, err = types.GenesisDocFromJSON(spec.Genesis); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	if n.listen, err = p2ptypes.NewNetAddressFromString(spec.Listen); err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	n.stack, err = cluster.StackNamed(spec.Stack)

	return n, err
}

// start assembles and starts the node from its stores.
func (n *node) start() error {
	key := &p2ptypes.NodeKey{}
	if copy(key.PrivKey[:], n.spec.NodeKey) != ed25519.PrivateKeySize {
		return errors.New("node key is too short")
	}
	mempool := memcfg.DefaultMempoolConfig()
	mempool.Broadcast = false // each proposer has transactions of its own
	logger := slog.New(slog.DiscardHandler)
	v, err := validator.New(validator.Config{
		Name: n.spec.Name, Genesis: n.genesis, PrivVal: n.priv, NodeKey: key, Listen: n.listen,
		App: kvstore.NewKVStoreApplication(), StateDB: n.stateDB, BlockDB: n.blockDB,
		Consensus: consensusConfig(), Mempool: mempool, FastSync: n.spec.FastSync, Logger: logger,
	}, func(self validator.Identity, reactors map[string]p2p.Reactor) (validator.Switch, error) {
		reactors["WATCH"] = newWatch(n.tell)

		return n.stack.New(cluster.Setup{Self: self, Reactors: reactors, P2P: n.p2pConfig(), Logger: logger})
	})
	if err != nil {
		return err
	}
	n.validator = v
	n.load = newLoad(v.Mempool, n.spec.Name, n.spec.BlockBytes, n.alone)
	v.Events.AddListener("wan", n.onEvent)

	return errors.Join(n.load.fill(), v.Start())
}

// stop stops the node. Its stores stay.
func (n *node) stop() error {
	n.load.stop()

	return n.validator.Stop()
}

func (n *node) p2pConfig() *p2pcfg.P2PConfig {
	c := p2pcfg.DefaultP2PConfig()
	c.ListenAddress = "tcp://" + n.listen.DialString()
	c.PersistentPeers = n.spec.Dials
	c.AllowDuplicateIP = true // a bridge presents several nodes
	if n.spec.Rate > 0 {
		c.SendRate, c.RecvRate = n.spec.Rate, n.spec.Rate
	}

	return c
}

// consensusConfig returns gno's default timeouts, except that the next block does not wait when
// all validators have signed the last one, and for at most 1 s otherwise: with the default of
// 5 s every stack would make the same number of blocks.
func consensusConfig() *cnscfg.ConsensusConfig {
	c := cnscfg.DefaultConsensusConfig()
	c.SkipTimeoutCommit, c.TimeoutCommit = true, c.TimeoutPrecommit
	c.WALDisabled = true

	return c
}

// makeHistory makes blocks with the node as the only validator. Afterwards the node is no
// validator any more: no further block is made.
func (n *node) makeHistory(ctx context.Context) error {
	tell, dials, reached := n.tell, n.spec.Dials, make(chan struct{})
	n.tell = func(e event) {
		if e.Committed != nil && e.Committed.Height == n.spec.History {
			close(reached)
		}
	}
	n.spec.Dials, n.alone = "", true
	if err := n.start(); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	select {
	case <-reached:
	case <-ctx.Done():
	}
	if err := n.stop(); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	n.tell, n.spec.Dials, n.spec.BlockBytes, n.alone = tell, dials, 0, false
	n.priv = types.NewMockPV()

	return nil
}
