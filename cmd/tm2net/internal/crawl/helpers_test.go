package crawl_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/crawl"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; none waits for it to pass.
const patience = 3 * time.Minute

const network = "crawled"

// transport is what the transports of all stacks are.
type transport interface {
	compat.ListeningTransport
	Listen(types.NetAddress) error
	Close() error
}

// node is a running switch.
type node struct {
	*adapter.MultiplexSwitch
	id types.ID
	at types.NetAddress
}

func (n *node) addr() string { return n.at.String() }

// start listens at the IP and starts a switch with the reactors.
func start(t testing.TB, tr transport, ip net.IP, reactors map[string]compat.Reactor, opts ...adapter.SwitchOption) *node {
	t.Helper()
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	require.NoError(t, tr.Listen(types.NetAddress{IP: ip}))
	opts = append(opts, adapter.WithAllowDuplicateIP(true))
	for name, reactor := range reactors {
		opts = append(opts, adapter.WithReactor(name, reactor))
	}
	n := &node{MultiplexSwitch: adapter.NewMultiplexSwitch(tr, opts...), at: tr.NetAddress()}
	n.id = n.at.ID
	require.NoError(t, n.Start())
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})

	return n
}

// spec describes a node.
type spec struct {
	ip      net.IP // loopback if there is none
	network string
	seeds   []*node // it dials them, and enters the DHT there
	quic    bool
	tells   []string // by peer exchange, in place of what it knows
	claims  []string // addresses that it then tells as its own, before the others
	private []types.ID
}

func (s spec) info(key *types.NodeKey, moniker string) (types.NodeInfo, net.IP) {
	ip := s.ip
	if ip == nil {
		ip = net.IPv4(127, 0, 0, 1)
	}
	name := s.network
	if name == "" {
		name = network
	}

	return types.NodeInfo{
		NetAddress: &types.NetAddress{ID: key.ID(), IP: ip}, Network: name, Version: "v1.0.0", Moniker: moniker,
		Channels: []byte{pex.Channel, 0x20},
	}, ip
}

// sockets are those of a node that dials from its own IP: in a namespace where every IP is local
// it would dial from that of the other node.
func (s spec) sockets() compat.Sockets {
	if s.ip == nil {
		return nil
	}

	return stacktest.SocketsFrom{IP: s.ip}
}

func (s spec) seedAddrs() (addrs []*types.NetAddress) {
	for _, seed := range s.seeds {
		at := seed.at
		addrs = append(addrs, &at)
	}

	return addrs
}

// dialing makes the switch dial the seeds until it has them, as a dial may be late.
func (s spec) dialing() adapter.SwitchOption { return adapter.WithPersistentPeers(s.seedAddrs()) }

// exchange is a reactor of peer exchange.
func (s spec) exchange(t testing.TB) compat.Reactor {
	t.Helper()
	if s.tells != nil {
		r := &teller{tells: s.tells}
		r.BaseReactor = *compat.NewBaseReactor("teller", r)

		return r
	}
	book, err := addrbook.Open("", types.NetAddress{}, addrbook.WithPrivatePeers(s.private))
	require.NoError(t, err)

	return pex.NewReactor(book)
}

func startNative(t testing.TB, s spec) *node {
	t.Helper()
	key := types.GenerateNodeKey()
	for _, at := range s.claims {
		s.tells = slices.Insert(s.tells, 0, types.NetAddressString(key.ID(), at))
	}
	info, ip := s.info(key, "native node")
	tr := native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil, native.WithSockets(s.sockets()))

	return start(t, tr, ip, map[string]compat.Reactor{"pex": s.exchange(t)}, adapter.WithPrivatePeers(s.private), s.dialing())
}

// startLibp2p starts a node with a DHT, or with peer exchange only if it is to tell something.
func startLibp2p(t testing.TB, s spec) *node {
	t.Helper()
	key := types.GenerateNodeKey()
	info, ip := s.info(key, "libp2p node")
	if s.tells == nil {
		info.Channels = []byte{0x20}
	}
	opts := []lp2p.Option{lp2p.WithSockets(s.sockets())}
	if s.quic {
		opts = append(opts, lp2p.WithQUIC())
	}
	tr, err := lp2p.NewTransport(info, *key, nil, opts...)
	require.NoError(t, err)
	if s.tells != nil {
		return start(t, tr, ip, map[string]compat.Reactor{"pex": s.exchange(t), "other": newSilent()})
	}
	dht, err := discovery.New(tr, discovery.WithBootstrapPeers(s.seedAddrs()), discovery.WithWalkInterval(100*time.Millisecond))
	require.NoError(t, err)

	return start(t, tr, ip, map[string]compat.Reactor{"dht": dht, "other": newSilent()})
}

func startDual(t testing.TB, s spec) *node {
	t.Helper()
	key := types.GenerateNodeKey()
	info, ip := s.info(key, "node on both stacks")
	tr, err := dual.NewTransport(info, *key, mconn.DefaultMConnConfig(), nil, dual.WithSockets(s.sockets()))
	require.NoError(t, err)
	dht, err := discovery.New(tr.Libp2p(), discovery.WithBootstrapPeers(s.seedAddrs()), discovery.WithWalkInterval(100*time.Millisecond))
	require.NoError(t, err)

	return start(t, tr, ip, map[string]compat.Reactor{"dht": dht, "pex": s.exchange(t), "other": newSilent()}, s.dialing())
}

// silent has a channel on which it says nothing.
type silent struct{ compat.BaseReactor }

func newSilent() *silent {
	r := &silent{}
	r.BaseReactor = *compat.NewBaseReactor("silent", r)

	return r
}

func (*silent) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: 0x20, Priority: 1}}
}

// teller answers peer exchange with the same addresses whoever asks.
type teller struct {
	compat.BaseReactor
	tells []string
}

func (*teller) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: pex.Channel, Priority: 1}}
}

func (r *teller) Receive(_ byte, peer compat.PeerConn, msg []byte) {
	if _, request, err := wire.DecodeDiscovery(msg); err == nil && request && len(r.tells) > 0 {
		peer.TrySend(pex.Channel, wire.AppendResponse(nil, r.tells))
	}
}

// options are the defaults, at a rate for tests.
func options(seeds ...*node) crawl.Options {
	opts := crawl.Options{
		Rate: 1000, AtOnce: crawl.DefaultAtOnce, Timeout: patience, MaxNodes: crawl.DefaultMaxNodes,
	}
	for _, seed := range seeds {
		opts.Seeds = append(opts.Seeds, seed.addr())
	}

	return opts
}

// byID finds a node of a report.
func byID(t require.TestingT, r *crawl.Report, id types.ID) *crawl.Node {
	for _, n := range r.Nodes {
		if n.ID == id {
			return n
		}
	}
	require.Fail(t, "node is not in the report", "%s", id)

	return nil
}

// stacksOf counts reachable nodes by moniker and checks their stacks.
func stacksOf(t require.TestingT, r *crawl.Report) map[string]int {
	want := map[string][]string{
		"native node": {probe.StackNative}, "libp2p node": {probe.StackLibp2p}, "node on both stacks": {probe.StackLibp2p, probe.StackNative},
	}
	count := make(map[string]int)
	for _, n := range r.Nodes {
		if n.State == crawl.Reachable {
			require.Equal(t, want[n.Moniker], n.Stacks, n.Moniker)
			count[n.Moniker]++
		}
	}

	return count
}
