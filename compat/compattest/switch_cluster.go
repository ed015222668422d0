package compattest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/freeport"
)

// lookAgain is how often await checks its condition without a signal. Some state, such as
// the size of a set, changes without a call.
const lookAgain = 20 * time.Millisecond

// maxDials is how often a dial is made that comes to nothing since the other end hangs up.
const maxDials = 5

// hangUps are what a dialer sees of a listener that closes the connection.
var hangUps = []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE}

// errTest is the reason with which the tests stop peers.
var errTest = errors.New("stopped by the test")

// cluster is a network of switches with their journals.
type cluster struct {
	make  MakeSwitch
	pings atomic.Uint64

	mtx     sync.Mutex
	nodes   []*switchNode
	changed chan struct{} // closed and replaced when a journal grows
}

func newCluster(t *testing.T, makeNetwork MakeNetwork) *cluster {
	t.Helper()

	return &cluster{make: makeNetwork(t), changed: make(chan struct{})}
}

// switchNode is a switch with a recording reactor.
type switchNode struct {
	SwitchNode
	log     *journal
	addr    types.NetAddress
	release func()

	late     int // how many late dials were repeated; guarded by the cluster's mtx
	repeated int // how many dials were, late ones or others; guarded by the cluster's mtx
}

func (n *switchNode) id() types.ID { return n.addr.ID }

// address returns a copy of the node's address.
func (n *switchNode) address() *types.NetAddress {
	addr := n.addr

	return &addr
}

// nodeSetup configures a node before it is made.
type nodeSetup struct {
	SwitchSpec
	log     *journal
	reactor *recorder // the first one, on both channels
}

// addReactor adds another reactor, without channels.
func (s *nodeSetup) addReactor(name string) *recorder {
	r := newRecorder(name, s.log)
	s.Reactors = append(s.Reactors, NamedReactor{Name: name, Reactor: r})

	return r
}

// identity returns the Spec of a node that listens on any free port.
func identity() Spec {
	key := types.GenerateNodeKey()

	return Spec{Key: *key, Info: types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)},
		Network:    "compattest",
		Version:    "v1.0.0",
		Channels:   []byte{ChannelA, ChannelB},
		Moniker:    "compattest",
	}}
}

// fixedIdentity returns the Spec of a node with a fixed port. The port is below those that
// systems choose, so that it stays free while the node is stopped.
func fixedIdentity(t *testing.T) Spec {
	t.Helper()
	spec := identity()
	spec.Info.NetAddress.Port = freePort(t)

	return spec
}

// freePort returns a free port of 127.0.0.1, another one each time.
func freePort(t *testing.T) uint16 {
	t.Helper()
	port, err := freeport.Take()
	require.NoError(t, err)

	return port
}

// node makes a node with a new identity. It does not start the node.
func (c *cluster) node(t *testing.T, configure ...func(*nodeSetup)) *switchNode {
	t.Helper()

	return c.nodeOf(t, identity(), configure...)
}

// nodeOf makes a node with the given identity. It does not start the node.
func (c *cluster) nodeOf(t *testing.T, spec Spec, configure ...func(*nodeSetup)) *switchNode {
	t.Helper()
	log := &journal{cluster: c}
	setup := &nodeSetup{log: log, SwitchSpec: SwitchSpec{
		Spec: spec, MaxInboundPeers: 40, MaxOutboundPeers: 10, AllowDuplicateIP: true,
	}}
	setup.reactor = setup.addReactor("recorder")
	setup.reactor.listenOn(ChannelA, ChannelB)
	for _, f := range configure {
		f(setup)
	}

	n := &switchNode{log: log}
	n.SwitchNode, n.addr, n.release = c.make(t, setup.SwitchSpec)
	require.Equal(t, spec.Key.ID(), n.addr.ID, "the address has the ID of the node")
	log.peers = n.Peers
	_, cancel := n.Subscribe(log.tap)
	t.Cleanup(cancel)
	c.mtx.Lock()
	defer c.mtx.Unlock()
	c.nodes = append(c.nodes, n)

	return n
}

// started makes and starts a node.
func (c *cluster) started(t *testing.T, configure ...func(*nodeSetup)) *switchNode {
	t.Helper()
	n := c.node(t, configure...)
	require.NoError(t, n.Start())

	return n
}

// pair returns two connected nodes. a has dialed b.
func (c *cluster) pair(t *testing.T) (a, b *switchNode) {
	t.Helper()
	a, b = c.started(t), c.started(t)
	c.connect(t, a, b)

	return a, b
}

// connect makes a dial b and waits until the reactors of both have the peer. It dials again
// where the other end has hung up. The journals of the two then have nothing of the dials that came
// to nothing.
func (c *cluster) connect(t *testing.T, a, b *switchNode) (atA, atB compat.PeerConn) {
	t.Helper()
	ofA, ofB := a.log.count(connected, b.id()), b.log.count(connected, a.id())
	begunA, begunB, before := a.log.len(), b.log.len(), c.repeatsOf(a)
	again := c.repeatHangUps(t, a, b)
	a.DialPeers(b.address())
	c.await(t, "both ends of a dial are connected", func() bool {
		again()

		return a.log.count(connected, b.id()) > ofA && b.log.count(connected, a.id()) > ofB &&
			a.Peers().Has(b.id()) && b.Peers().Has(a.id())
	})
	if c.repeatsOf(a) > before {
		c.forget(a, b.id(), begunA)
		c.forget(b, a.id(), begunB)
	}
	atA, atB = a.Peers().Get(b.id()), b.Peers().Get(a.id())
	require.NotNil(t, atA, "the dialer's peer")
	require.NotNil(t, atB, "the listener's peer")

	return atA, atB
}

// repeatHangUps is called before a dials b. The function it returns dials again where the other end has
// hung up since, as on a busy machine: the dialer's end may be done when the listener has waited too
// long, and such a listener just hangs up. After maxDials the nodes have to be connected: a switch that
// takes only a few of its peers keeps no contract. It is not for dials that may be refused.
func (c *cluster) repeatHangUps(t *testing.T, a, b *switchNode) func() {
	t.Helper()

	return c.repeatHangUpsUnless(t, a, b, len(a.hungUp(b.id())), func() bool { return false })
}

// repeatHangUpsUnless is repeatHangUps where the first ended hang-ups do not count, since a may dial
// already, and none while meant reports that b hangs up for another reason. It asks meant after it has
// seen a hang-up, so that whatever b did before is seen too.
func (c *cluster) repeatHangUpsUnless(t *testing.T, a, b *switchNode, ended int, meant func() bool) func() {
	t.Helper()
	dials := 1

	return func() {
		t.Helper()
		now := a.hungUp(b.id())
		if len(now) <= ended || dials == maxDials || meant() {
			return
		}
		t.Logf("dial %d of %s has come to nothing: %v", dials, b.id(), now[len(now)-1].reason)
		dials, ended = dials+1, len(now)
		c.mtx.Lock()
		a.repeated++
		c.mtx.Unlock()
		a.DialPeers(b.address())
	}
}

// awaitConnected waits until a, which dials b once, is connected, and repeats the dial where b has hung
// up.
func (c *cluster) awaitConnected(t *testing.T, what string, again func(), a, b *switchNode) {
	t.Helper()
	c.await(t, what, func() bool {
		again()

		return a.log.count(connected, b.id()) > 0
	})
}

// repeatsOf returns how many dials of the node were repeated.
func (c *cluster) repeatsOf(n *switchNode) int {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return n.repeated
}

// forget removes what the journal has noted of the ID from the given length on, up to the last
// connection.
func (c *cluster) forget(n *switchNode, id types.ID, from int) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	n.late = max(0, n.late-n.log.forget(id, from))
}

// hungUp returns the dials of the ID that have failed, or whose peers have ended, since the other
// end has hung up.
func (n *switchNode) hungUp(id types.ID) []entry {
	return n.log.all(func(e entry) bool { return e.id == id && e.isHangUp() })
}

// isHangUp tells whether the other end of a dial has hung up and has not said why. A refusal is
// a verdict, and await repeats late dials itself. Stacks end a peer with different reasons, so any
// other counts there.
func (e entry) isHangUp() bool {
	reason, _ := e.reason.(error)
	if _, refused := errors.AsType[*compat.RejectError](reason); refused {
		return false
	}

	return e.what == disconnected || e.what == failed && !e.isLateDial() && slices.ContainsFunc(hangUps, func(err error) bool {
		return errors.Is(reason, err)
	})
}

// isLateDial tells whether a dial has failed since it took too long.
func (e entry) isLateDial() bool {
	reason, _ := e.reason.(error)

	return e.what == failed && compat.ClassifyDial(reason) == compat.DialTimedOut
}

// repeatLateDials repeats each dial from one node of the cluster to another that has failed
// since it took too long. On a busy machine a dial may take longer than a switch allows, and a
// switch dials an address once.
func (c *cluster) repeatLateDials() {
	c.mtx.Lock()
	nodes := make(map[types.ID]*switchNode)
	for _, n := range c.nodes {
		nodes[n.id()] = n
	}
	var dials []func()
	for _, n := range nodes {
		late := n.log.all(entry.isLateDial)
		for _, e := range late[n.late:] {
			if other := nodes[e.id]; other != nil {
				n.repeated++
				dials = append(dials, func() { n.DialPeers(other.address()) })
			}
		}
		n.late = len(late)
	}
	c.mtx.Unlock()
	for _, dial := range dials {
		dial()
	}
}

// disconnect makes a stop its peer b and waits until both have removed the peer.
func (c *cluster) disconnect(t *testing.T, a, b *switchNode) {
	t.Helper()
	a.StopPeerForError(a.Peers().Get(b.id()), errTest)
	c.awaitApart(t, a, b)
}

// awaitApart waits until the nodes have removed each other.
func (c *cluster) awaitApart(t *testing.T, a, b *switchNode) {
	t.Helper()
	c.await(t, "the peer is removed on both ends", func() bool {
		return a.without(b.id()) && b.without(a.id())
	})
}

// without reports whether the node has no peer with the ID and has told its reactors.
func (n *switchNode) without(id types.ID) bool {
	return !n.Peers().Has(id) &&
		n.log.count(removed, id) >= n.log.count(initPeer, id) &&
		n.log.count(disconnected, id) >= n.log.count(connected, id)
}

// awaitRefused waits until n dials of the ID have failed, were refused, or made peers that
// were removed.
func (c *cluster) awaitRefused(t *testing.T, dialer *switchNode, id types.ID, n int) {
	t.Helper()
	c.await(t, "a dial comes to nothing", func() bool {
		return dialer.log.count(failed, id)+dialer.log.count(removed, id) >= n
	})
}

// exchange sends a message each way, to prove that the nodes are connected.
func (c *cluster) exchange(t *testing.T, a, b *switchNode) {
	t.Helper()
	ping := []byte(fmt.Sprintf("ping %d", c.pings.Add(1)))
	for _, ends := range [][2]*switchNode{{a, b}, {b, a}} {
		from, to := ends[0], ends[1]
		peer := from.Peers().Get(to.id())
		require.NotNil(t, peer, "a node has its peer")
		require.True(t, peer.Send(ChannelA, ping), "a message is taken")
		c.await(t, "a message is received", func() bool {
			return to.log.has(func(e entry) bool {
				return e.what == received && e.id == from.id() && e.msg == string(ping)
			})
		})
	}
}

// await waits until the condition holds, and repeats late dials meanwhile.
func (c *cluster) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		changed := c.watch()
		if holds() {
			return
		}
		c.repeatLateDials()
		select {
		case <-changed:
		case <-again.C:
		case <-deadline.C:
			c.dump(t)
			t.Fatalf("has not come true: %s", what)
		}
	}
}

// awaitCount waits until the count, which c.grown tells of, has come so far. Each step of it may take
// as long as any other wait: where many goroutines want a processor, a Receive that gives its turn away
// may get the next one some 60 ms later.
func (c *cluster) awaitCount(t *testing.T, what string, count *atomic.Int64, want int64) {
	t.Helper()
	for now := count.Load(); now < want; {
		before := now
		c.await(t, what, func() bool {
			now = count.Load()

			return now > before
		})
	}
}

// await waits until a channel has a value or is closed.
func await[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case v := <-ch:
		return v
	case <-deadline.C:
		t.Fatalf("has not happened: %s", what)
		panic("not reached")
	}
}

// done runs f and returns a channel that is closed when it has returned.
func done(f func()) <-chan struct{} {
	ch := make(chan struct{})
	go func() {
		defer close(ch)
		f()
	}()

	return ch
}

func (c *cluster) watch() <-chan struct{} {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return c.changed
}

func (c *cluster) grown() {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// dump logs the journals of all nodes.
func (c *cluster) dump(t *testing.T) {
	t.Helper()
	c.mtx.Lock()
	nodes := c.nodes
	c.mtx.Unlock()
	for _, n := range nodes {
		t.Logf("%s: %s", n.id(), n.log)
	}
}
