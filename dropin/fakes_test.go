package dropin

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
)

// gnoRecorder is a gno reactor that records its calls.
type gnoRecorder struct {
	p2p.BaseReactor
	name    string
	channel byte
	queue   int                             // messages that the channel holds, or 0 for the default
	wrap    func(p2p.PeerConn) p2p.PeerConn // makes the result of InitPeer
	log     *steps

	received chan gnoDelivery
	added    chan p2p.PeerConn
	removed  chan p2p.PeerConn
}

type gnoDelivery struct {
	peer p2p.PeerConn
	msg  string
}

// steps records the calls of the reactors of one node, in order.
type steps struct {
	mtx  sync.Mutex
	list []string
}

func (s *steps) add(step string) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.list = append(s.list, step)
}

func newGnoRecorder(name string, channel byte) *gnoRecorder {
	r := &gnoRecorder{
		name: name, channel: channel, log: &steps{},
		wrap:     func(p p2p.PeerConn) p2p.PeerConn { return p },
		received: make(chan gnoDelivery, 16),
		added:    make(chan p2p.PeerConn, 16),
		removed:  make(chan p2p.PeerConn, 16),
	}
	r.BaseReactor = *p2p.NewBaseReactor(name, r)

	return r
}

func (r *gnoRecorder) OnStart() error {
	r.log.add("start " + r.name)

	return nil
}

func (r *gnoRecorder) OnStop() { r.log.add("stop " + r.name) }

// GetChannels leaves out the values that gno's switch fills in.
func (r *gnoRecorder) GetChannels() []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{{ID: r.channel, Priority: 1, SendQueueCapacity: r.queue}}
}

func (r *gnoRecorder) InitPeer(peer p2p.PeerConn) p2p.PeerConn { return r.wrap(peer) }

func (r *gnoRecorder) AddPeer(peer p2p.PeerConn) { r.added <- peer }

func (r *gnoRecorder) RemovePeer(peer p2p.PeerConn, _ any) { r.removed <- peer }

func (r *gnoRecorder) Receive(_ byte, peer p2p.PeerConn, msg []byte) {
	r.received <- gnoDelivery{peer, string(msg)}
}

// newIdentity returns the key and NodeInfo of a node on loopback.
func newIdentity(channels ...byte) (gnotypes.NodeKey, gnotypes.NodeInfo) {
	key := gnotypes.GenerateNodeKey()

	return *key, gnotypes.NodeInfo{
		NetAddress: &gnotypes.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)},
		Network:    "dropin",
		Version:    "v1.0.0",
		Channels:   channels,
		Moniker:    "node",
	}
}

// loopbackConfig returns gno's config for one of several nodes on this machine.
func loopbackConfig(persistent ...gnotypes.NetAddress) *gnoconfig.P2PConfig {
	cfg := gnoconfig.DefaultP2PConfig()
	cfg.ListenAddress = "tcp://127.0.0.1:0"
	cfg.AllowDuplicateIP = true
	cfg.PeerExchange = false
	for _, addr := range persistent {
		cfg.PersistentPeers += addr.String() + ","
	}

	return cfg
}

// stack makes the switch of one stack.
type stack struct {
	name string
	make func(*testing.T, *gnoconfig.P2PConfig, map[string]p2p.Reactor, ...Option) (*Switch, error)
}

func stacks() []stack {
	return []stack{
		{"native", func(_ *testing.T, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor, opts ...Option) (*Switch, error) {
			key, info := newIdentity(channelsOf(reactors)...)
			var o options
			for _, opt := range opts {
				opt(&o)
			}

			return NewNativeSwitch(info, key, cfg, reactors, nil, o.sw...)
		}},
		{"libp2p", func(_ *testing.T, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor, opts ...Option) (*Switch, error) {
			key, info := newIdentity(channelsOf(reactors)...)

			return NewLibp2pSwitch(info, key, cfg, reactors, nil, opts...)
		}},
		{"dual", func(_ *testing.T, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor, opts ...Option) (*Switch, error) {
			key, info := newIdentity(channelsOf(reactors)...)

			return NewDualSwitch(info, key, cfg, reactors, nil, opts...)
		}},
	}
}

// channelsOf returns the channels of the reactors. It never returns an empty list.
func channelsOf(reactors map[string]p2p.Reactor) []byte {
	ids := []byte{testChannel}
	for _, d := range channels(reactors) {
		if d.ID != testChannel {
			ids = append(ids, d.ID)
		}
	}

	return ids
}

// newSwitchWith returns a listening switch. It closes the switch at the end of the test.
func newSwitchWith(t *testing.T, s stack, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor, opts ...Option) *Switch {
	t.Helper()
	sw, err := s.make(t, cfg, reactors, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sw.Close()) })
	require.NoError(t, sw.Listen())

	return sw
}

// newPatientSwitch is newSwitchWith for a switch whose dials and handshakes succeed however busy the
// machine is, where the two ends are of one stack.
func newPatientSwitch(t *testing.T, s stack, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor, opts ...Option) *Switch {
	t.Helper()
	timeouts := lp2p.DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake = patience, patience
	opts = append(opts, WithLibp2pOptions(lp2p.WithTimeouts(timeouts), leeway.Sniff(patience).(lp2p.Option)))
	sw, err := s.make(t, cfg, reactors, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sw.Close()) })
	if tr, ok := sw.transport.(*native.MultiplexTransport); ok {
		leeway.Handshake(patience).(native.Option)(tr)
	}
	require.NoError(t, sw.Listen())

	return sw
}

// sink is a peer of ours that accepts all messages without an allocation.
type sink struct {
	compat.PeerConn // nil; only overridden methods are called
	mtx             sync.RWMutex
	values          map[string]any
	last            []byte
}

func newSink() *sink { return &sink{values: make(map[string]any)} }

func (s *sink) Send(_ byte, msg []byte) bool {
	s.last = msg

	return true
}

func (s *sink) TrySend(_ byte, msg []byte) bool {
	s.last = msg

	return true
}

func (s *sink) Set(key string, value any) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.values[key] = value
}

func (s *sink) Get(key string) any {
	s.mtx.RLock()
	defer s.mtx.RUnlock()

	return s.values[key]
}

// caller is a switch of ours that keeps broadcast messages.
type caller struct {
	compat.Switch
	last []byte
}

func (*caller) Peers() compat.PeerSet { return nil }

func (c *caller) Broadcast(_ byte, data []byte) { c.last = data }

// failing is a transport of ours whose Accept and Dial fail.
type failing struct {
	compat.Transport
	err error
}

func (f failing) Accept(context.Context, compat.PeerBehavior) (compat.PeerConn, error) {
	return nil, f.err
}
