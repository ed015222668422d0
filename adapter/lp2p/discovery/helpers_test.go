package discovery_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// patience bounds every wait of the tests; none waits for it to pass.
const patience = 2 * time.Minute

// walkInterval makes nodes look for peers without a pause to speak of.
const walkInterval = 100 * time.Millisecond

const channel byte = 0x20

// silent is a reactor that gives a switch its channel.
type silent struct{ compat.BaseReactor }

func newSilent() *silent {
	r := &silent{}
	r.BaseReactor = *compat.NewBaseReactor("silent", r)

	return r
}

func (*silent) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: channel, Priority: 1}}
}

// node is a switch on libp2p with a DHT.
type node struct {
	*adapter.MultiplexSwitch
	t    *lp2p.Transport
	d    *discovery.Discovery
	key  *types.NodeKey
	stop func()
}

// spec describes a node; the zero value is one that knows nobody.
type spec struct {
	key       *types.NodeKey
	port      uint16 // 0: any
	network   string
	seeds     []*node // the DHT is entered there
	transport []lp2p.Option
	dht       []discovery.Option
	sw        []adapter.SwitchOption
	silent    bool // no discovery
}

// newNode starts a node on loopback that stops with the test.
func newNode(t testing.TB, s spec) *node {
	t.Helper()
	n := &node{key: s.key}
	if n.key == nil {
		n.key = types.GenerateNodeKey()
	}
	network := s.network
	if network == "" {
		network = "test"
	}
	loopback := net.IPv4(127, 0, 0, 1)
	info := types.NodeInfo{
		NetAddress: &types.NetAddress{ID: n.key.ID(), IP: loopback},
		Network:    network, Channels: []byte{channel, pex.Channel}, Moniker: "node",
	}
	var err error
	n.t, err = lp2p.NewTransport(info, *n.key, nil, s.transport...)
	require.NoError(t, err)
	require.NoError(t, n.t.Listen(types.NetAddress{IP: loopback, Port: s.port}))

	sw := []adapter.SwitchOption{
		adapter.WithReactor("silent", newSilent()), adapter.WithAllowDuplicateIP(true),
	}
	if !s.silent {
		dht := []discovery.Option{discovery.WithWalkInterval(walkInterval)}
		for _, seed := range s.seeds {
			dht = append(dht, discovery.WithBootstrapPeers([]*types.NetAddress{seed.addr()}))
		}
		n.d, err = discovery.New(n.t, append(dht, s.dht...)...)
		require.NoError(t, err)
		if os.Getenv("DHT_TEST_LOG") != "" {
			n.d.SetLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).
				With("node", n.key.ID().String()[:6]))
		}
		sw = append(sw, adapter.WithReactor("dht", n.d))
	}
	n.MultiplexSwitch = adapter.NewMultiplexSwitch(n.t, append(sw, s.sw...)...)
	require.NoError(t, n.Start())
	n.stop = sync.OnceFunc(func() {
		if err := n.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := n.t.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(n.stop)

	return n
}

func (n *node) addr() *types.NetAddress { a := n.t.NetAddress(); return &a }

func (n *node) id() types.ID { return n.key.ID() }

// timeout returns a context that ends with the test, at the latest after patience.
func timeout(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)

	return ctx
}

// await waits until the condition holds, which is looked at after every event of
// the nodes. Beside events of the switch there are things that have none, like the
// routing table; a ticker makes up for those.
func await(t testing.TB, what string, cond func() bool, nodes ...*node) {
	t.Helper()
	changed := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, n := range nodes {
		happened, cancel := n.Subscribe(nil)
		defer cancel()
		wg.Go(func() {
			for range happened {
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		})
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	ctx := timeout(t)
	for !cond() {
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			for i, n := range nodes {
				if n.d != nil {
					t.Logf("node %d %s: out %d peers %d %+v", i, n.id(), n.Peers().NumOutbound(), len(n.Peers().List()), n.d.Stats())
				}
			}
			require.FailNow(t, "has not come true: "+what)
		}
	}
}

// full reports whether the node has as many peers as outbound slots, or is connected
// to everybody. Of two crossed connections the one that stays may be the other's
// dial, and then fills a slot of this direction.
func full(n *node, slots, nodes int) bool { return len(n.Peers().List()) >= min(slots, nodes-1) }

func allFull(nodes []*node, slots int) func() bool {
	return func() bool {
		for _, n := range nodes {
			if !full(n, slots, len(nodes)) {
				return false
			}
		}

		return true
	}
}

// isConnected reports whether the sessions make one graph of the nodes.
func isConnected(nodes []*node) bool {
	byID := make(map[types.ID]*node, len(nodes))
	for _, n := range nodes {
		byID[n.id()] = n
	}
	seen := map[types.ID]bool{nodes[0].id(): true}
	queue := []*node{nodes[0]}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, p := range n.Peers().List() {
			if other := byID[p.ID()]; other != nil && !seen[other.id()] {
				seen[other.id()] = true
				queue = append(queue, other)
			}
		}
	}

	return len(seen) == len(nodes)
}

// failures subscribes to failed dials.
func failures(t testing.TB, n *node) <-chan events.Event {
	failed, cancel := n.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	t.Cleanup(cancel)

	return failed
}
