//go:build linux

package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gnolang/gno/tm2/pkg/amino"
	"github.com/gnolang/gno/tm2/pkg/bft/types"
	"github.com/gnolang/gno/tm2/pkg/crypto/ed25519"
	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
)

const (
	nodePort   = 26656
	bridgePort = 26660 // and the next one
	power      = 10    // of each validator
	chainID    = "wan"
)

// network is a chain in a box: node i is at place i.
type network struct {
	box     *box.Box
	nodes   []*member
	bridge  *cluster.Bridge
	genesis *types.GenesisDoc
	events  chan of
	ended   chan struct{} // closed when nobody takes events any more
}

// of is an event of a node.
type of struct {
	event
	node *member
}

// member is a node as its network sees it.
type member struct {
	index   int
	spec    nodeSpec
	stack   cluster.Stack
	process *child.Process

	started   bool
	peers     int
	lost      int      // how often a peer was removed
	committed []moment // by height, from committed[0].Height
}

// height returns the height of the last block.
func (m *member) height() int64 {
	if len(m.committed) == 0 {
		return 0
	}

	return m.committed[len(m.committed)-1].Height
}

// at returns what the node committed at a height.
func (m *member) at(height int64) (moment, bool) {
	for _, c := range slices.Backward(m.committed) {
		if c.Height == height {
			return c, true
		}
	}

	return moment{}, false
}

// newNetwork returns a network without nodes.
func newNetwork(c box.Config) (*network, error) {
	b, err := box.New(c)
	if err != nil {
		return nil, err
	}

	return &network{
		box: b, genesis: &types.GenesisDoc{GenesisTime: time.Now(), ChainID: chainID},
		events: make(chan of), ended: make(chan struct{}),
	}, nil
}

// add adds a node at the next place. It does not start the node.
func (n *network) add(stack string, isValidator bool, spec nodeSpec) (*member, error) {
	s, err := cluster.StackNamed(stack)
	if err != nil {
		return nil, err
	}
	m := &member{index: len(n.nodes), spec: spec, stack: s}
	key, priv := p2ptypes.GenerateNodeKey(), ed25519.GenPrivKey()
	m.spec.Name, m.spec.Stack, m.spec.NodeKey = fmt.Sprintf("node-%d", m.index), stack, key.PrivKey[:]
	// Nodes listen at every address, so that they also do when their place has moved.
	m.spec.Listen = fmt.Sprintf("%s@0.0.0.0:%d", key.ID(), nodePort)
	if m.spec.PrivKey, err = amino.MarshalJSONAny(priv); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if isValidator {
		n.genesis.Validators = append(n.genesis.Validators, types.GenesisValidator{
			Address: priv.PubKey().Address(), PubKey: priv.PubKey(), Power: power, Name: m.spec.Name,
		})
	}
	n.nodes = append(n.nodes, m)

	return m, nil
}

// address returns ID@IP:port at which others dial the node.
func (n *network) address(m *member) string {
	id, _, _ := strings.Cut(m.spec.Listen, "@")

	return fmt.Sprintf("%s@%s", id, n.hostPort(m.index, nodePort))
}

func (n *network) hostPort(place, port int) string {
	return net.JoinHostPort(n.box.Place(place).Addr().String(), fmt.Sprint(port))
}

// link makes every node dial those before it with the same protocol and, if there is a
// bridge, the bridge.
func (n *network) link() {
	for _, m := range n.nodes {
		var dials []string
		for _, other := range n.nodes[:m.index] {
			if other.stack.Speaks == m.stack.Speaks {
				dials = append(dials, n.address(other))
			}
		}
		if n.bridge != nil {
			dials = append(dials, n.bridge.AddressFor(m.stack.Speaks))
		}
		m.spec.Dials = strings.Join(dials, ",")
	}
}

// peersOf returns how many peers the node has when all links are up.
func (n *network) peersOf(m *member) (peers int) {
	for _, other := range n.nodes {
		if other != m && other.stack.Speaks == m.stack.Speaks {
			peers++
		}
	}

	return peers
}

// addBridge starts a bridge at a place, between the nodes added so far.
func (n *network) addBridge(place int) error {
	spec := cluster.BridgeSpec{Native: n.hostPort(place, bridgePort), Libp2p: n.hostPort(place, bridgePort+1)}
	for _, m := range n.nodes {
		if m.stack.Speaks == cluster.SpeaksNative {
			spec.NativePeers = append(spec.NativePeers, n.address(m))
		} else {
			spec.Libp2pPeers = append(spec.Libp2pPeers, n.address(m))
		}
	}
	b := cluster.NewBridgeOf(spec, slog.New(slog.DiscardHandler))
	if err := n.box.Place(place).Do(b.Start); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	n.bridge = b

	return nil
}

// start starts a node.
func (n *network) start(m *member) error {
	genesis, err := amino.MarshalJSON(n.genesis)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	m.spec.Genesis = json.RawMessage(genesis)

	return n.box.Place(m.index).Do(func() (err error) {
		m.process, err = child.Start(nodeRole, m.spec, func(line string) {
			select {
			case n.events <- of{parseEvent(line), m}:
			case <-n.ended:
			}
		})

		return err
	})
}

// await takes events until done returns true. seen is called with each; nil does nothing.
func (n *network) await(ctx context.Context, what string, seen func(of), done func() bool) error {
	for !done() {
		select {
		case e := <-n.events:
			if e.Failed != "" {
				return fmt.Errorf("node %d: %s", e.node.index, e.Failed)
			}
			e.node.take(e.event)
			if seen != nil {
				seen(e)
			}
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %s", what, context.Cause(ctx), n.describe())
		}
	}

	return nil
}

// watch takes events for a time.
func (n *network) watch(ctx context.Context, during time.Duration, seen func(of)) error {
	window, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	err := n.await(window, "watch", seen, func() bool { return false })
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil // the window is over
	}

	return err
}

func (m *member) take(e event) {
	switch {
	case e.Started:
		m.started = true
	case e.Committed != nil:
		m.committed = append(m.committed, *e.Committed)
	case e.Peers != nil:
		if *e.Peers < m.peers {
			m.lost++
		}
		m.peers = *e.Peers
	}
}

// describe tells the height and the peers of each node.
func (n *network) describe() string {
	var parts []string
	for _, m := range n.nodes {
		parts = append(parts, fmt.Sprintf("node %d at height %d with %d of %d peers", m.index, m.height(), m.peers, n.peersOf(m)))
	}

	return strings.Join(parts, ", ")
}

// stop stops all processes and the box.
func (n *network) stop() error {
	close(n.ended)
	errs := make(chan error)
	for _, m := range n.nodes {
		go func() {
			if m.process == nil {
				errs <- nil
				return
			}
			errs <- m.process.Stop()
		}()
	}
	var all []error
	for range n.nodes {
		all = append(all, <-errs)
	}
	if n.bridge != nil {
		all = append(all, n.bridge.Stop())
	}

	return errors.Join(append(all, n.box.Close())...)
}
