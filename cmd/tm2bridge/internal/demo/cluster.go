package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	// underwayTotal is the most messages of all origins that are under way at a time.
	// Every link carries a copy of each in both directions, so that with more nodes each
	// origin has a smaller window.
	underwayTotal = 96
	minWindow     = 2
)

// cluster is the network of the demo. Nodes are numbered: the native ones first.
type cluster struct {
	perSide int
	nodes   []*node
	windows []*window
	bridge  *bridge.Bridge
	config  bridge.Config // of the bridge
	key     *types.NodeKey
	page    string      // URL of the bridge's page; empty if there is none
	changed task.Signal // the condition of wait may have changed
	logger  *slog.Logger
}

// newCluster starts a network, which the caller stops. It does not wait for connections.
func newCluster(perSide int, logger *slog.Logger) (*cluster, error) {
	c := &cluster{perSide: perSide, changed: task.NewSignal(), logger: logger}
	c.makeWindows()
	if err := c.build(); err != nil {
		return nil, errors.Join(err, c.stop())
	}

	return c, nil
}

func (c *cluster) makeWindows() {
	nodes := 2 * c.perSide
	for range nodes {
		c.windows = append(c.windows, newWindow(max(minWindow, underwayTotal/nodes), nodes-1, c.changed.Set))
	}
}

func (c *cluster) natives() []*node { return c.nodes[:min(c.perSide, len(c.nodes))] }
func (c *cluster) libp2ps() []*node { return c.nodes[min(c.perSide, len(c.nodes)):] }

func (c *cluster) build() error {
	natives, libp2ps := make(map[types.ID]bool), make(map[types.ID]bool)
	for i := range 2 * c.perSide {
		name, side := fmt.Sprintf("native-%d", i), natives
		if !c.isNative(i) {
			name, side = fmt.Sprintf("libp2p-%d", i-c.perSide), libp2ps
		}
		logger := c.logger.With("node", name)
		n, err := newNode(name, c.isNative(i), newGossip(i, c.windows, c.changed.Set, logger), logger)
		if err != nil {
			return fmt.Errorf("unable to make node %s: %w", name, err)
		}
		n.reactor.side = side
		n.reactor.mayEnd.Store(true) // a node that finds its peer too late dials it again
		side[n.key.ID()] = true
		c.nodes = append(c.nodes, n)
	}

	return c.startAll()
}

// startAll starts the libp2p nodes, then the bridge, which dials them, then the native
// nodes, which dial the bridge. Each node dials the earlier nodes of its side.
func (c *cluster) startAll() error {
	if err := c.startMesh(c.libp2ps()); err != nil {
		return err
	}
	c.key = types.GenerateNodeKey()
	listen := loopback(c.key.ID())
	c.config = bridge.Config{
		NativeListen:  listen,
		Libp2pListen:  listen,
		MConfig:       unlimited(),
		MaxPairs:      2 * c.perSide,
		MaxPairsPerIP: 2 * c.perSide,

		AllowDuplicateIP: true, // all nodes have one IP address
	}
	for _, n := range c.libp2ps() {
		addr := n.transport.NetAddress()
		c.config.Libp2pPeers = append(c.config.Libp2pPeers, &addr)
	}
	if err := c.startBridge(); err != nil {
		return err
	}
	native := c.bridge.NativeAddress()

	return c.startMesh(c.natives(), &native)
}

// startBridge starts the bridge, at the ports that it had before if it had some.
func (c *cluster) startBridge() error {
	b, err := bridge.New(*c.key, c.config, c.logger.With("node", "bridge"))
	if err != nil {
		return fmt.Errorf("unable to make the bridge: %w", err)
	}
	if err := b.Start(); err != nil {
		return fmt.Errorf("unable to start the bridge: %w", err)
	}
	c.bridge = b
	c.config.NativeListen, c.config.Libp2pListen = b.NativeAddress(), b.Libp2pAddress()

	return nil
}

func (c *cluster) startMesh(side []*node, dial ...*types.NetAddress) error {
	for _, n := range side {
		if err := n.start(slices.Clone(dial), 4*c.perSide); err != nil {
			return fmt.Errorf("unable to start a node: %w", err)
		}
		addr := n.transport.NetAddress()
		dial = append(dial, &addr)
	}

	return nil
}

// wait returns nil when the condition holds. notify makes it check the condition again.
func (c *cluster) wait(ctx context.Context, condition func() bool) error {
	for !condition() {
		select {
		case <-c.changed.C():
		case <-ctx.Done():
			return ctx.Err()
		}
	}

	return nil
}

// meshed reports whether every node has received a hello from all its peers: the others
// of its side and, for each native node, one libp2p node behind the bridge.
func (c *cluster) meshed() bool {
	pairs := 0
	for i, n := range c.nodes {
		remotes, peers := n.reactor.remotes()
		if peers != len(remotes) {
			return false // also if one has gone, and the node has yet to notice
		}
		sameSide, across := make(map[int]bool), 0
		for _, j := range remotes {
			if c.isNative(i) == c.isNative(j) {
				sameSide[j] = true
			} else {
				across++
			}
		}
		if len(sameSide) != c.perSide-1 || (c.isNative(i) && across != 1) {
			return false
		}
		pairs += across
	}

	return pairs == 2*c.perSide && c.pairs() == c.perSide
}

// pairs returns the number of pairs of the bridge, 0 before it exists.
func (c *cluster) pairs() int {
	if c.bridge == nil {
		return 0
	}

	return len(c.bridge.Status().Pairs)
}

func (c *cluster) isNative(index int) bool { return index < c.perSide }

// drained reports whether no message is under way.
func (c *cluster) drained() bool {
	return !slices.ContainsFunc(c.windows, func(w *window) bool { return !w.empty() })
}

// finished reports whether the closing frames of all links have arrived.
func (c *cluster) finished() bool {
	return !slices.ContainsFunc(c.nodes, func(n *node) bool { return n.reactor.unfinished() > 0 })
}

// stop ends the nodes and the bridge and waits for all of them.
func (c *cluster) stop() error {
	for _, n := range c.nodes {
		n.reactor.mayEnd.Store(true)
	}
	var errs []error
	for _, n := range c.natives() {
		errs = append(errs, n.stop())
	}
	if c.bridge != nil {
		errs = append(errs, c.bridge.Stop())
	}
	for _, n := range c.libp2ps() {
		errs = append(errs, n.stop())
	}

	return errors.Join(errs...)
}
