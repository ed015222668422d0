package cluster

import (
	"fmt"
	"strings"

	"github.com/gnolang/gno/tm2/pkg/bft/abci/example/kvstore"
	abci "github.com/gnolang/gno/tm2/pkg/bft/abci/types"
	memcfg "github.com/gnolang/gno/tm2/pkg/bft/mempool/config"
	"github.com/gnolang/gno/tm2/pkg/bft/store"
	"github.com/gnolang/gno/tm2/pkg/bft/types"
	dbm "github.com/gnolang/gno/tm2/pkg/db"
	"github.com/gnolang/gno/tm2/pkg/db/memdb"
	"github.com/gnolang/gno/tm2/pkg/events"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	p2pcfg "github.com/gnolang/gno/tm2/pkg/p2p/config"
	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/validator"
)

// Member is a node of a network. While it is stopped, it keeps its keys, its stores and its
// signing state. The app loses its state, which the next start replays from the blocks.
type Member struct {
	// Name is the number of the node and the name of its stack.
	Name string
	// Address is the listen address.
	Address *p2ptypes.NetAddress

	network *Network
	stack   Stack
	key     *p2ptypes.NodeKey
	priv    types.PrivValidator
	stateDB dbm.DB
	blockDB dbm.DB
	p2p     *p2pcfg.P2PConfig
	dials   []string
	node    *validator.Node // of the last start
	running bool
	listen  events.EventCallback
}

func newMember(
	n *Network, name string, stack Stack, key *p2ptypes.NodeKey, addr *p2ptypes.NetAddress, priv types.PrivValidator,
) *Member {
	m := &Member{
		Name: name, Address: addr, network: n, stack: stack, key: key, priv: priv,
		stateDB: memdb.NewMemDB(), blockDB: memdb.NewMemDB(), p2p: p2pcfg.DefaultP2PConfig(),
		listen: func(events.Event) { n.notify() },
	}
	m.p2p.ListenAddress = "tcp://" + addr.DialString()
	m.p2p.AllowDuplicateIP = true // all nodes run on one machine

	return m
}

// Dial makes the addresses, ID@host:port, persistent peers of the node from its next start.
func (m *Member) Dial(addrs ...string) {
	m.dials = append(m.dials, addrs...)
	m.p2p.PersistentPeers = strings.Join(m.dials, ",")
}

// Start assembles and starts the node. With fastSync, the node syncs blocks until it has
// caught up, and only then takes part in consensus.
func (m *Member) Start(fastSync bool) error {
	genesis := *m.network.genesis // each node owns its copy
	if err := genesis.ValidateAndComplete(); err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	consensus := m.network.config.Consensus()
	consensus.WALDisabled = true
	node, err := validator.New(validator.Config{
		Name: m.Name, Genesis: &genesis, PrivVal: m.priv, NodeKey: m.key, Listen: m.Address,
		App: kvstore.NewKVStoreApplication(), StateDB: m.stateDB, BlockDB: m.blockDB,
		Consensus: consensus, Mempool: memcfg.TestMempoolConfig(), FastSync: fastSync, Logger: m.network.config.Logger,
	}, m.newSwitch)
	if err != nil {
		return err
	}
	node.Events.AddListener("cluster", m.listen)
	m.node = node
	if err := node.Start(); err != nil {
		return fmt.Errorf("start of %s: %w", m.Name, err)
	}
	m.running = true

	return nil
}

func (m *Member) newSwitch(self validator.Identity, reactors map[string]p2p.Reactor) (validator.Switch, error) {
	return m.stack.New(Setup{
		Self: self, Reactors: reactors, P2P: m.p2p, Logger: m.network.config.Logger.With("node", m.Name, "module", "p2p"),
	})
}

// Stop stops the node.
func (m *Member) Stop() error {
	m.running = false
	if err := m.node.Stop(); err != nil {
		return fmt.Errorf("stop of %s: %w", m.Name, err)
	}

	return nil
}

// Running reports whether the node is started.
func (m *Member) Running() bool { return m.running }

// Height returns the height of the node's last block. It can be called after Stop.
func (m *Member) Height() int64 {
	if m.node == nil {
		return 0
	}

	return m.node.Store.Height()
}

// Blocks returns the node's block store. It can be called after Stop.
func (m *Member) Blocks() *store.BlockStore { return m.node.Store }

// Syncing reports whether the node is syncing blocks and takes no part in consensus yet.
func (m *Member) Syncing() bool { return m.node.ConsR.FastSync() }

// Submit puts a transaction into the node's mempool.
func (m *Member) Submit(key, value string) error {
	if err := m.node.Mempool.CheckTx(types.Tx(key+"="+value), nil); err != nil {
		return fmt.Errorf("transaction %s at %s: %w", key, m.Name, err)
	}

	return nil
}

// Value returns the value of a key in the node's app, or "" if there is none.
func (m *Member) Value(key string) (string, error) {
	res, err := m.node.AppConns.Query().QuerySync(abci.RequestQuery{Path: "/store", Data: []byte(key)})
	if err != nil {
		return "", fmt.Errorf("query of %s at %s: %w", key, m.Name, err)
	}

	return string(res.Value), nil
}

// Peers returns the connected peers.
func (m *Member) Peers() []p2p.PeerConn { return m.node.Switch.Peers().List() }
