package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// ErrNotRecovered is wrapped by Kill's error when nodes were not joined again in time.
var ErrNotRecovered = errors.New("the nodes were not joined again")

// Recovery is one thing that was taken away, and how long it took until every node was joined
// again.
type Recovery struct {
	What   string
	Took   time.Duration
	Joined map[string]string // native nodes, and the libp2p nodes that they are joined to then
}

// Kill runs a network, takes away a libp2p node and then the bridge, and tells each step. The
// bridge comes back with its key at its address. begin is called when all nodes have their
// peers.
func Kill(
	ctx context.Context, nodes int, logger *slog.Logger, begin func(Topology), tell func(string),
) (recoveries []Recovery, err error) {
	if nodes < 2 {
		return nil, errors.New("--kill needs at least 2 nodes on each side, so that one may go")
	}
	c, err := newCluster(nodes, logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.awaitPeers(ctx); err != nil {
		return nil, err
	}
	begin(c.topology())
	for _, n := range c.nodes {
		n.reactor.mayEnd.Store(true) // that links end is what this is about
	}

	for _, step := range []func(context.Context, func(string)) (Recovery, error){c.killNode, c.killBridge} {
		r, err := step(ctx, tell)
		if err != nil {
			return recoveries, err
		}
		recoveries = append(recoveries, r)
	}

	return recoveries, nil
}

// killNode takes away the libp2p node that the first native node is joined to.
func (c *cluster) killNode(ctx context.Context, tell func(string)) (Recovery, error) {
	gone := c.joined()[c.natives()[0].name]
	i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.name == gone })
	tell(gone + " is taken away")
	begin := time.Now()
	if err := c.nodes[i].stop(); err != nil {
		return Recovery{}, err
	}
	c.nodes[i].gone = true

	return c.recovered(ctx, tell, gone, begin)
}

// killBridge takes away the bridge and brings it back.
func (c *cluster) killBridge(ctx context.Context, tell func(string)) (Recovery, error) {
	tell("the bridge is taken away: no node of one side hears from the other")
	begin := time.Now()
	if err := c.bridge.Stop(); err != nil {
		return Recovery{}, err
	}
	c.bridge = nil
	parted := func() bool { return len(c.joined()) == 0 }
	if err := c.within(ctx, parted); err != nil {
		return Recovery{}, err
	}
	tell("the bridge comes back, with its key at its address")
	if err := c.startBridge(); err != nil {
		return Recovery{}, err
	}

	return c.recovered(ctx, tell, "the bridge", begin)
}

// recovered waits until every native node is joined to a libp2p node that lives.
func (c *cluster) recovered(ctx context.Context, tell func(string), what string, begin time.Time) (Recovery, error) {
	if err := c.within(ctx, c.whole); err != nil {
		return Recovery{}, fmt.Errorf("%s was taken away: %w: only %s", what, err, list(c.joined()))
	}
	r := Recovery{What: what, Took: time.Since(begin), Joined: c.joined()}
	tell(fmt.Sprintf("joined again after %s: %s", r.Took.Round(time.Millisecond), list(r.Joined)))

	return r, nil
}

func (c *cluster) within(ctx context.Context, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, Timeouts.Recover)
	defer cancel()
	if err := c.wait(ctx, condition); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRecovered, err)
	}

	return nil
}

// whole reports whether every native node is joined to a libp2p node that lives.
func (c *cluster) whole() bool {
	pairs := c.joined()
	for _, n := range c.libp2ps() {
		if n.gone && slices.Contains(slices.Collect(maps.Values(pairs)), n.name) {
			return false
		}
	}

	return len(pairs) == c.perSide
}

// list writes pairs in order.
func list(pairs map[string]string) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		texts = append(texts, name+" <-> "+pairs[name])
	}
	if len(texts) == 0 {
		return "nobody"
	}

	return strings.Join(texts, ", ")
}
