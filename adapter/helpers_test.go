package adapter

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	chA = byte(0x20)
	chB = byte(0x21)
)

// testReactor notes its callbacks, and calls the hooks of a test.
type testReactor struct {
	compat.BaseReactor
	channels []*compat.ChannelDescriptor

	onInit    func(compat.PeerConn) compat.PeerConn
	onAdd     func(compat.PeerConn)
	onRemove  func(compat.PeerConn, any)
	onReceive func(byte, compat.PeerConn, []byte)

	mtx sync.Mutex
	log []string
}

func newTestReactor(channels ...byte) *testReactor {
	r := &testReactor{}
	for _, ch := range channels {
		r.channels = append(r.channels, &compat.ChannelDescriptor{ID: ch, Priority: 1, SendQueueCapacity: 4})
	}
	r.BaseReactor = *compat.NewBaseReactor("test", r)

	return r
}

func (r *testReactor) note(format string, args ...any) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *testReactor) entries() []string {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return append([]string(nil), r.log...)
}

func (r *testReactor) count(entry string) (n int) {
	for _, e := range r.entries() {
		if e == entry {
			n++
		}
	}

	return n
}

func (r *testReactor) GetChannels() []*compat.ChannelDescriptor { return r.channels }

func (r *testReactor) InitPeer(p compat.PeerConn) compat.PeerConn {
	r.note("init")
	if r.onInit != nil {
		return r.onInit(p)
	}

	return p
}

func (r *testReactor) AddPeer(p compat.PeerConn) {
	r.note("add")
	if r.onAdd != nil {
		r.onAdd(p)
	}
}

func (r *testReactor) RemovePeer(p compat.PeerConn, reason any) {
	r.note("remove")
	if r.onRemove != nil {
		r.onRemove(p, reason)
	}
}

func (r *testReactor) Receive(ch byte, p compat.PeerConn, msg []byte) {
	r.note("receive %s", msg)
	if r.onReceive != nil {
		r.onReceive(ch, p, msg)
	}
}

// node is a switch on an in-memory transport with one reactor.
type node struct {
	*MultiplexSwitch
	tr      *memory.Transport
	reactor *testReactor
}

func newNode(t *testing.T, network *memory.Network, opts ...SwitchOption) *node {
	t.Helper()

	return newNodeOn(t, network.NewTransport(chA, chB), nil, opts...)
}

// newNodeOn wraps the transport if wrap is given. The node is stopped at the end
// of the test.
func newNodeOn(
	t *testing.T,
	tr *memory.Transport,
	wrap func(*memory.Transport) compat.Transport,
	opts ...SwitchOption,
) *node {
	t.Helper()
	n := &node{tr: tr, reactor: newTestReactor(chA, chB)}
	var transport compat.Transport = tr
	if wrap != nil {
		transport = wrap(tr)
	}
	n.MultiplexSwitch = NewMultiplexSwitch(transport, append([]SwitchOption{WithReactor("test", n.reactor)}, opts...)...)

	return n
}

func (n *node) addr() *types.NetAddress { a := n.tr.NetAddress(); return &a }

func (n *node) id() types.ID { return n.tr.NetAddress().ID }

// start starts the nodes and returns what stops them.
func start(t *testing.T, nodes ...*node) (stop func()) {
	t.Helper()
	for _, n := range nodes {
		require.NoError(t, n.Start())
	}

	return func() {
		for _, n := range nodes {
			if n.IsRunning() {
				require.NoError(t, n.Stop())
			}
			require.NoError(t, n.tr.Close())
		}
	}
}

// pair returns two nodes of which a has dialed b. It is for use in a synctest
// bubble.
func pair(t *testing.T) (a, b *node, stop func()) {
	t.Helper()
	network := memory.NewNetwork()
	a, b = newNode(t, network), newNode(t, network)
	stop = start(t, a, b)
	connect(t, a, b)

	return a, b, stop
}

func connect(t *testing.T, a, b *node) {
	t.Helper()
	a.DialPeers(b.addr())
	synctest.Wait()
	require.True(t, a.Peers().Has(b.id()))
	require.True(t, b.Peers().Has(a.id()))
}

// pass lets time go by in a synctest bubble.
func pass(d time.Duration) {
	task.Sleep(context.Background(), d)
	synctest.Wait()
}

// collect reads the events that are waiting.
func collect(ch <-chan events.Event) (got []events.Event) {
	for {
		select {
		case e := <-ch:
			got = append(got, e)
		default:
			return got
		}
	}
}

func eventTypes(evs []events.Event) (names []events.EventType) {
	for _, e := range evs {
		names = append(names, e.Type())
	}

	return names
}

// dialHook replaces a transport's Dial.
type dialHook struct {
	compat.Transport
	dial func(context.Context, types.NetAddress, compat.PeerBehavior) (compat.PeerConn, error)
}

func (h *dialHook) Dial(ctx context.Context, a types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
	return h.dial(ctx, a, b)
}

// acceptHook replaces a transport's Accept.
type acceptHook struct {
	compat.Transport
	accept func(context.Context, compat.PeerBehavior) (compat.PeerConn, error)
}

func (h *acceptHook) Accept(ctx context.Context, b compat.PeerBehavior) (compat.PeerConn, error) {
	return h.accept(ctx, b)
}
