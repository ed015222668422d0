package validator_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/gnolang/gno/tm2/pkg/bft/abci/example/kvstore"
	abci "github.com/gnolang/gno/tm2/pkg/bft/abci/types"
	cnscfg "github.com/gnolang/gno/tm2/pkg/bft/consensus/config"
	memcfg "github.com/gnolang/gno/tm2/pkg/bft/mempool/config"
	"github.com/gnolang/gno/tm2/pkg/bft/types"
	"github.com/gnolang/gno/tm2/pkg/db/memdb"
	"github.com/gnolang/gno/tm2/pkg/events"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	p2pcfg "github.com/gnolang/gno/tm2/pkg/p2p/config"
	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	gnoservice "github.com/gnolang/gno/tm2/pkg/service"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/validator"
)

const (
	chainID  = "validator"
	patience = 2 * time.Minute
)

// newConfig returns the config of the only validator of a chain.
func newConfig(t *testing.T) validator.Config {
	t.Helper()
	priv := types.NewMockPV()
	key := p2ptypes.GenerateNodeKey()
	addr, err := p2ptypes.NewNetAddressFromString(string(key.ID()) + "@10.0.0.1:26656")
	require.NoError(t, err)
	genesis := &types.GenesisDoc{
		GenesisTime: time.Now(), ChainID: chainID,
		Validators: []types.GenesisValidator{{
			Address: priv.PubKey().Address(), PubKey: priv.PubKey(), Power: 10, Name: "alone",
		}},
	}
	require.NoError(t, genesis.ValidateAndComplete())
	consensus := cnscfg.TestConsensusConfig()
	consensus.WALDisabled = true

	return validator.Config{
		Name: "alone", Genesis: genesis, PrivVal: priv, NodeKey: key, Listen: addr,
		App: kvstore.NewKVStoreApplication(), StateDB: memdb.NewMemDB(), BlockDB: memdb.NewMemDB(),
		Consensus: consensus, Mempool: memcfg.TestMempoolConfig(), Logger: slog.New(slog.DiscardHandler),
	}
}

// inMemory makes switches without sockets.
func inMemory(t *testing.T) validator.SwitchFactory {
	t.Helper()
	network := memory.NewNetwork()

	return func(self validator.Identity, reactors map[string]p2p.Reactor) (validator.Switch, error) {
		tr, err := network.NewTransportFor(dropin.FromNodeInfo(self.Info))
		if err != nil {
			return nil, err
		}
		sw, err := dropin.NewSwitch(tr, p2pcfg.DefaultP2PConfig(), reactors, nil)
		if err != nil {
			return nil, errors.Join(err, tr.Close())
		}

		return closing{sw, tr}, nil
	}
}

// closing is a switch whose Close also closes the transport.
type closing struct {
	*dropin.Switch
	tr *memory.Transport
}

func (c closing) Close() error { return errors.Join(c.Switch.Close(), c.tr.Close()) }

// awaitHeight waits until the node has a block at the height.
func awaitHeight(t *testing.T, n *validator.Node, height int64) {
	t.Helper()
	steps := make(chan struct{}, 1)
	n.Events.AddListener("test", func(events.Event) {
		select {
		case steps <- struct{}{}:
		default:
		}
	})
	defer n.Events.RemoveListener("test")
	timeout := time.After(patience)
	for n.Store.Height() < height {
		select {
		case <-steps:
		case <-timeout:
			require.Fail(t, "too slow", "height %d, not %d", n.Store.Height(), height)
		}
	}
}

// value returns the value of the key in the node's app.
func value(t *testing.T, n *validator.Node, key string) string {
	t.Helper()
	res, err := n.AppConns.Query().QuerySync(abci.RequestQuery{Path: "/store", Data: []byte(key)})
	require.NoError(t, err)

	return string(res.Value)
}

// TestNodeComesBack restarts a node with its stores and a new app. Before Start, the node must
// have its blocks and have replayed them into the app. Then it goes on.
func TestNodeComesBack(t *testing.T) {
	c, newSwitch := newConfig(t), inMemory(t)
	first, err := validator.New(c, newSwitch)
	require.NoError(t, err)
	require.NoError(t, first.Mempool.CheckTx(types.Tx("key=value"), nil)) // before Start, since blocks follow without a pause
	require.NoError(t, first.Start())
	awaitHeight(t, first, 3) // by then a block with the transaction is applied
	require.Equal(t, "value", value(t, first, "key"))
	require.NoError(t, first.Stop())
	height := first.Store.Height()

	c.App = kvstore.NewKVStoreApplication()
	second, err := validator.New(c, newSwitch)
	require.NoError(t, err)
	require.Equal(t, height, second.Store.Height())
	require.Equal(t, "value", value(t, second, "key"), "the blocks were replayed")
	require.Equal(t, first.Store.LoadBlockMeta(height).BlockID, second.Store.LoadBlockMeta(height).BlockID)
	require.NoError(t, second.Start())
	awaitHeight(t, second, height+2)
	require.NoError(t, second.Stop())
}

// TestNodeTellsItsChannels checks that the NodeInfo lists the channels of all reactors.
func TestNodeTellsItsChannels(t *testing.T) {
	c, newSwitch := newConfig(t), inMemory(t)
	var want []byte
	var names []string
	n, err := validator.New(c, func(self validator.Identity, reactors map[string]p2p.Reactor) (validator.Switch, error) {
		for name, r := range reactors {
			names = append(names, name)
			for _, ch := range r.GetChannels() {
				want = append(want, ch.ID)
			}
		}

		return newSwitch(self, reactors)
	})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"MEMPOOL", "BLOCKCHAIN", "CONSENSUS"}, names)
	require.ElementsMatch(t, []byte{0x20, 0x21, 0x22, 0x23, 0x30, 0x40}, want)
	require.ElementsMatch(t, want, n.Self.Info.Channels)
	require.Equal(t, chainID, n.Self.Info.Network)
	require.Equal(t, c.NodeKey.ID(), n.Self.Info.NetAddress.ID)
	require.NoError(t, n.Start())
	require.NoError(t, n.Stop())
}

// TestSwitchThatCannotBeMade checks, by goleak, that New stops everything it has started.
func TestSwitchThatCannotBeMade(t *testing.T) {
	cause := errors.New("port is taken")
	_, err := validator.New(newConfig(t), func(validator.Identity, map[string]p2p.Reactor) (validator.Switch, error) {
		return nil, cause
	})
	require.ErrorIs(t, err, cause)
	require.ErrorContains(t, err, "switch of alone")
}

// cannotStart is a switch whose Start fails.
type cannotStart struct {
	validator.Switch
	cause error
}

func (c cannotStart) Start() error { return c.cause }

func TestSwitchThatDoesNotStart(t *testing.T) {
	cause, newSwitch := errors.New("port is taken"), inMemory(t)
	n, err := validator.New(newConfig(t), func(self validator.Identity, reactors map[string]p2p.Reactor) (validator.Switch, error) {
		sw, err := newSwitch(self, reactors)

		return cannotStart{sw, cause}, err
	})
	require.NoError(t, err)
	require.ErrorIs(t, n.Start(), cause)
	require.False(t, n.ConsR.IsRunning())
	require.ErrorIs(t, n.AppConns.Stop(), gnoservice.ErrAlreadyStopped)
}

// ahead is an app that reports more blocks than the store has.
type ahead struct{ abci.Application }

func (ahead) Info(abci.RequestInfo) abci.ResponseInfo {
	return abci.ResponseInfo{LastBlockHeight: 1000}
}

// TestAppAheadOfTheStore checks that New refuses an app with blocks that the store does not
// have, and stops everything it has started.
func TestAppAheadOfTheStore(t *testing.T) {
	c, newSwitch := newConfig(t), inMemory(t)
	n, err := validator.New(c, newSwitch)
	require.NoError(t, err)
	require.NoError(t, n.Start())
	awaitHeight(t, n, 2)
	require.NoError(t, n.Stop())

	c.App = ahead{kvstore.NewKVStoreApplication()}
	_, err = validator.New(c, newSwitch)
	require.ErrorContains(t, err, "replay of alone")
}
