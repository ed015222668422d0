package cluster

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/gnolang/gno/tm2/pkg/amino"
	cnscfg "github.com/gnolang/gno/tm2/pkg/bft/consensus/config"
	"github.com/gnolang/gno/tm2/pkg/bft/privval"
	"github.com/gnolang/gno/tm2/pkg/bft/types"
	"github.com/gnolang/gno/tm2/pkg/crypto"
	gnoed25519 "github.com/gnolang/gno/tm2/pkg/crypto/ed25519"
	"github.com/gnolang/gno/tm2/pkg/events"
	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
)

// remoteRole is the role of a child that runs a validator.
const remoteRole = "validator"

// remoteSpec configures the child.
type remoteSpec struct {
	Name, Stack string
	Genesis     json.RawMessage // amino JSON, like the keys
	PrivKey     json.RawMessage
	NodeKey     []byte
	Listen      string // ID@IP:port
	Dials       []string
	Consensus   *cnscfg.ConsensusConfig
	SignState   string
}

// Remote is a validator in a child process, which can be paused.
type Remote struct {
	// Address is the listen address.
	Address *p2ptypes.NetAddress

	network *Network
	name    string
	stack   Stack
	key     *p2ptypes.NodeKey
	priv    crypto.PrivKey
	process *child.Process

	mtx    sync.Mutex
	hashes []string // of its blocks, from height 1, in hex
}

// AddRemote adds a validator in a child process, with the given voting power.
func (n *Network) AddRemote(stack Stack, power int64) (*Remote, error) {
	key := p2ptypes.GenerateNodeKey()
	addr, err := freeAddress(key.ID())
	if err != nil {
		return nil, err
	}
	r := &Remote{
		Address: addr, network: n, name: "remote-" + stack.Name, stack: stack, key: key, priv: gnoed25519.GenPrivKey(),
	}
	n.addGenesis(r.name, r.priv.PubKey(), power)

	return r, nil
}

// Start starts the process. The validator dials the addresses, ID@IP:port.
func (r *Remote) Start(dials ...string) error {
	genesis, err := amino.MarshalJSON(r.network.genesis)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	priv, err := amino.MarshalJSONAny(r.priv)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	r.process, err = child.Start(remoteRole, remoteSpec{
		Name: r.name, Stack: r.stack.Name, Genesis: genesis, PrivKey: priv, NodeKey: r.key.PrivKey[:],
		Listen: r.Address.String(), Dials: dials, Consensus: r.network.config.Consensus(),
		SignState: r.network.signState(r.name),
	}, r.onLine)

	return err
}

// onLine handles a line of the child: a height and the hash of the block there.
func (r *Remote) onLine(line string) {
	var height int
	var hash string
	if n, err := fmt.Sscanf(line, "block %d %s", &height, &hash); err != nil || n != 2 {
		r.network.config.Logger.Info(line, "node", r.name)

		return
	}
	r.mtx.Lock()
	if height == len(r.hashes)+1 {
		r.hashes = append(r.hashes, hash)
	}
	r.mtx.Unlock()
	r.network.notify()
}

// Height returns the height of the last block that the validator has reported.
func (r *Remote) Height() int64 {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return int64(len(r.hashes))
}

// Signal sends the process a signal.
func (r *Remote) Signal(s os.Signal) error { return r.process.Signal(s) }

// Running reports whether Start was called and Stop was not.
func (r *Remote) Running() bool { return r.process != nil }

// Stop stops the validator and waits for its process.
func (r *Remote) Stop() error {
	process := r.process
	r.process = nil

	return process.Stop()
}

// CheckAgreement compares the validator's blocks with those of a member, at the heights that
// both have. It returns a *ForkError for the first difference.
func (r *Remote) CheckAgreement(with *Member) error {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	for i, hash := range r.hashes {
		h := int64(i + 1)
		if h > with.Height() {
			break
		}
		if hex.EncodeToString(with.Blocks().LoadBlockMeta(h).BlockID.Hash) != hash {
			return &ForkError{Height: h, Name: r.name, With: with.Name}
		}
	}

	return nil
}

// runRemote is the main function of the child.
func runRemote(ctx context.Context, specification json.RawMessage, say func(string)) error {
	var spec remoteSpec
	if err := json.Unmarshal(specification, &spec); err != nil {
		return err
	}
	m, err := spec.member(slog.New(slog.NewTextHandler(sayWriter(say), nil)))
	if err != nil {
		return err
	}
	m.listen = func(event events.Event) {
		if e, ok := event.(types.EventNewBlock); ok {
			say(fmt.Sprintf("block %d %x", e.Block.Height, e.Block.Hash()))
		}
	}
	if err := m.Start(false); err != nil {
		return err
	}
	<-ctx.Done()

	return m.Stop()
}

// member returns the validator, as the only member of a network in the child.
func (spec remoteSpec) member(logger *slog.Logger) (*Member, error) {
	stack, err := StackNamed(spec.Stack)
	if err != nil {
		return nil, err
	}
	var priv crypto.PrivKey
	if err := amino.UnmarshalJSON(spec.PrivKey, &priv); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	genesis, err := types.GenesisDocFromJSON(spec.Genesis)
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	addr, err := p2ptypes.NewNetAddressFromString(spec.Listen)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	key := &p2ptypes.NodeKey{}
	if copy(key.PrivKey[:], spec.NodeKey) != ed25519.PrivateKeySize {
		return nil, errors.New("node key is too short")
	}
	val, err := privval.NewPrivValidator(types.NewMockSignerWithPrivKey(priv), spec.SignState)
	if err != nil {
		return nil, err
	}
	n := NewNetwork(Config{Logger: logger, Consensus: func() *cnscfg.ConsensusConfig { return spec.Consensus }})
	n.genesis = genesis
	m := newMember(n, spec.Name, stack, key, addr, val)
	m.Dial(spec.Dials...)

	return m, nil
}
