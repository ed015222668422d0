package lp2p

import (
	"context"
	"flag"
	"net"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// TestMain lets twice as many tests run in parallel as usual, unless the command
// line says how many: about half of those that are parallel wait for a timer.
func TestMain(m *testing.M) {
	parallel := flag.Lookup("test.parallel")
	if err := parallel.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of the tests; none waits for it to pass.
const patience = time.Minute

const (
	chA byte = 0x20
	chB byte = 0x21
	chC byte = 0x40
)

// received is one message as a reactor saw it.
type received struct {
	peer    compat.PeerConn
	channel byte
	msg     []byte
}

// recorder is a reactor that keeps what it receives.
type recorder struct {
	compat.BaseReactor
	hook    func(channel byte, peer compat.PeerConn, msg []byte) // may be nil
	discard bool                                                 // keep nothing

	mtx     sync.Mutex
	all     []received
	changed chan struct{}
}

func newRecorder() *recorder {
	r := &recorder{changed: make(chan struct{})}
	r.BaseReactor = *compat.NewBaseReactor("recorder", r)

	return r
}

func (r *recorder) Receive(channel byte, peer compat.PeerConn, msg []byte) {
	if !r.discard {
		r.mtx.Lock()
		r.all = append(r.all, received{peer, channel, slices.Clone(msg)})
		close(r.changed)
		r.changed = make(chan struct{})
		r.mtx.Unlock()
	}

	if r.hook != nil {
		r.hook(channel, peer, msg)
	}
}

// on returns what came on a channel so far.
func (r *recorder) on(channel byte) [][]byte {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	var msgs [][]byte
	for _, m := range r.all {
		if m.channel == channel {
			msgs = append(msgs, m.msg)
		}
	}

	return msgs
}

func (r *recorder) count() int {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return len(r.all)
}

// await waits until n messages have arrived in all.
func (r *recorder) await(t testing.TB, n int) {
	t.Helper()
	ctx := timeout(t)
	for {
		r.mtx.Lock()
		have, changed := len(r.all), r.changed
		r.mtx.Unlock()
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			require.Failf(t, "messages are missing", "%d of %d arrived", have, n)
		}
	}
}

// failure is one call of HandlePeerError.
type failure struct {
	peer compat.PeerConn
	err  error
}

// behavior is the switch as a transport sees it.
type behavior struct {
	descs    []*compat.ChannelDescriptor
	reactor  *recorder
	failures chan failure
	admit    func(compat.ConnInfo, types.NodeInfo) error // nil admits all
}

func newBehavior() *behavior {
	b := &behavior{reactor: newRecorder(), failures: make(chan failure, 100)}
	for _, id := range []byte{chA, chB, chC} {
		b.descs = append(b.descs, &compat.ChannelDescriptor{
			ID: id, Priority: int(id), SendQueueCapacity: 100, RecvMessageCapacity: 2 << 20,
		})
	}

	return b
}

func (b *behavior) ReactorChDescriptors() []*compat.ChannelDescriptor { return b.descs }

func (b *behavior) Reactors() map[byte]compat.Reactor {
	reactors := make(map[byte]compat.Reactor)
	for _, d := range b.descs {
		reactors[d.ID] = b.reactor
	}

	return reactors
}

func (b *behavior) HandlePeerError(peer compat.PeerConn, err error) {
	b.failures <- failure{peer, err}
	_ = peer.Stop()
}

func (*behavior) IsPersistentPeer(types.ID) bool { return false }
func (*behavior) IsPrivatePeer(types.ID) bool    { return false }

func (b *behavior) AdmitPeer(conn compat.ConnInfo, node types.NodeInfo) error {
	if b.admit == nil {
		return nil
	}

	return b.admit(conn, node)
}

// failure waits for the next failure.
func (b *behavior) failure(t testing.TB) failure {
	t.Helper()
	select {
	case f := <-b.failures:
		return f
	case <-timeout(t).Done():
		require.Fail(t, "no failure was reported")

		return failure{}
	}
}

// node is a transport that listens, and its switch.
type node struct {
	*Transport
	*behavior
	key  *types.NodeKey
	info types.NodeInfo
}

func nodeInfo(id types.ID) types.NodeInfo {
	return types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0-rc.0"}},
		NetAddress: &types.NetAddress{ID: id, IP: net.IPv4(127, 0, 0, 1)},
		Network:    "test", Version: "v1.0.0-rc.0", Channels: []byte{chA, chB, chC}, Moniker: "node",
	}
}

// patientTimeouts are those of a node whose dials, handshakes and flushes succeed however busy the
// machine is.
func patientTimeouts() Timeouts {
	timeouts := DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake, timeouts.Flush = patience, patience, patience

	return timeouts
}

// patientGoodbye is for nodes whose remotes, which answer a goodbye, have to learn its reason however
// busy the machine is.
func patientGoodbye() Option {
	timeouts := patientTimeouts()
	timeouts.Linger = patience

	return WithTimeouts(timeouts)
}

// newNode returns a node with patientTimeouts, unless an option says otherwise, that listens on
// loopback and is closed with the test.
func newNode(t testing.TB, change func(*types.NodeInfo), opts ...Option) *node {
	t.Helper()
	key := types.GenerateNodeKey()
	info := nodeInfo(key.ID())
	if change != nil {
		change(&info)
	}
	tr, err := NewTransport(info, *key, nil, append([]Option{WithTimeouts(patientTimeouts())}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))

	return &node{Transport: tr, behavior: newBehavior(), key: key, info: info}
}

func (n *node) dial(t testing.TB, to *node) (*Peer, error) {
	t.Helper()
	p, err := n.Dial(timeout(t), to.NetAddress(), n.behavior)
	if err != nil {
		require.Nil(t, p)

		return nil, err
	}

	return p.(*Peer), nil
}

func (n *node) accept(t testing.TB) *Peer {
	t.Helper()
	p, err := n.Accept(timeout(t), n.behavior)
	require.NoError(t, err)

	return p.(*Peer)
}

// acceptLoop accepts and starts peers until the test ends.
func (n *node) acceptLoop(t testing.TB) { n.acceptLoopOf(t, n.behavior) }

// acceptLoopOf is acceptLoop for another behavior than the node's.
func (n *node) acceptLoopOf(t testing.TB, behavior compat.PeerBehavior) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			p, err := n.Accept(ctx, behavior)
			if err != nil {
				return
			}
			_ = p.Start()
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// connect makes a session from a to b and starts both ends.
func connect(t testing.TB, a, b *node) (*Peer, *Peer) {
	t.Helper()
	got := make(chan *Peer, 1)
	go func() {
		p, err := b.Accept(timeout(t), b.behavior)
		if err != nil {
			close(got)

			return
		}
		got <- p.(*Peer)
	}()
	pa, err := a.dial(t, b)
	require.NoError(t, err)
	pb := <-got
	require.NotNil(t, pb)
	require.NoError(t, pa.Start())
	require.NoError(t, pb.Start())

	return pa, pb
}

// timeout returns a context that ends with the test, at the latest after patience.
func timeout(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)

	return ctx
}

// shortWait is a handshake timeout that a test waits out after it has reached the listener in time,
// also on a busy machine. Such a test runs beside others.
const shortWait = 5 * time.Second

// shortHandshake makes a listener that gives up soon.
func shortHandshake(d time.Duration) Option {
	timeouts := patientTimeouts()
	timeouts.Handshake = d

	return WithTimeouts(timeouts)
}

// stopped waits until the peer has stopped.
func stopped(t testing.TB, p *Peer) {
	t.Helper()
	select {
	case <-p.Quit():
	case <-timeout(t).Done():
		require.Fail(t, "peer still runs")
	}
}
