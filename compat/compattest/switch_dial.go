package compattest

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func dialPromises() []switchPromise {
	return []switchPromise{
		{"Dial/ReturnsAtOnce", testDialReturnsAtOnce},
		{"Dial/BeforeStart", testDialBeforeStart},
		{"Dial/FromOnStart", testDialFromOnStart},
		{"Dial/OnPeerDisconnected", testDialOnDisconnected},
		{"Dial/AgainOnPeerDisconnected", testDialAgain},
		{"Dial/SkipsNil", testDialSkipsNil},
		{"Dial/SkipsSelf", testDialSkipsSelf},
		{"Dial/SkipsDuplicatesAndConnected", testDialSkipsDuplicates},
		{"Dial/WrongID", testDialWrongID},
		{"Dial/SelfUnderAnotherID", testDialSelf},
		{"Dial/NobodyListens", testDialNobody},
		{"Dial/OtherNetwork", testDialOtherNetwork},
	}
}

// silentListener accepts TCP connections and sends nothing.
type silentListener struct {
	net.Listener
	ended chan struct{} // closed when the listener and all connections are closed

	mtx   sync.Mutex
	conns []net.Conn
}

// newSilentListener listens on 127.0.0.1 until the end of the test.
func newSilentListener(t *testing.T) *silentListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &silentListener{Listener: l, ended: make(chan struct{})}
	go s.run()
	t.Cleanup(func() {
		s.shut(t)
		s.mtx.Lock()
		for _, conn := range s.conns {
			if err := conn.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		s.mtx.Unlock()
		<-s.ended
	})

	return s
}

func (s *silentListener) shut(t *testing.T) {
	t.Helper()
	if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}

func (s *silentListener) run() {
	defer close(s.ended)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := s.Accept()
		if err != nil {
			return
		}
		s.mtx.Lock()
		s.conns = append(s.conns, conn)
		s.mtx.Unlock()
		wg.Go(func() {
			// The connection may end in any way.
			_, _ = io.Copy(io.Discard, conn)
		})
	}
}

// accepted returns how many connections were accepted.
func (s *silentListener) accepted() int {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return len(s.conns)
}

// addresses returns n addresses of the listener with different IDs.
func (s *silentListener) addresses(t *testing.T, n int) (addrs []*types.NetAddress) {
	t.Helper()
	for range n {
		addr, err := types.NewNetAddress(types.GenerateNodeKey().ID(), s.Addr())
		require.NoError(t, err)
		addrs = append(addrs, addr)
	}

	return addrs
}

func testDialReturnsAtOnce(t *testing.T, c *cluster) {
	silent, unready, n := newSilentListener(t), c.node(t), c.started(t)
	addrs := append(silent.addresses(t, 50), unready.address())
	await(t, done(func() { n.DialPeers(addrs...) }), "DialPeers returns while its dials hang")
	for _, addr := range addrs[:50] {
		require.False(t, n.Peers().Has(addr.ID))
	}
}

func testDialBeforeStart(t *testing.T, c *cluster) {
	a, b := c.node(t), c.started(t)
	again := c.repeatHangUps(t, a, b)
	a.DialPeers(b.address())
	require.Zero(t, a.log.count(initPeer, b.id()))
	require.NoError(t, a.Start())
	c.awaitConnected(t, "the node connects once it is started", again, a, b)
}

func testDialFromOnStart(t *testing.T, c *cluster) {
	b := c.started(t)
	a := c.node(t, func(s *nodeSetup) {
		s.reactor.onStart = func() { s.reactor.Switch.DialPeers(b.address()) }
	})
	again := c.repeatHangUps(t, a, b)
	require.NoError(t, a.Start())
	c.awaitConnected(t, "the node connects once it is started", again, a, b)
}

// The slot of a peer is free when its disconnection is reported.
func testDialOnDisconnected(t *testing.T, c *cluster) {
	first, second := c.started(t), c.started(t)
	n := c.started(t, func(s *nodeSetup) { s.MaxOutboundPeers = 1 })
	c.connect(t, n, first)
	_, cancel := n.Subscribe(func(ev events.Event) bool {
		if ev.Type() == events.PeerDisconnected {
			n.DialPeers(second.address())
		}

		return false
	})
	defer cancel()
	again := c.repeatHangUps(t, n, second)
	c.disconnect(t, n, first)
	c.awaitConnected(t, "another peer takes the slot", again, n, second)
}

// A peer can be dialed again as soon as it is removed, even if the remote has not noticed
// the end of the last connection.
func testDialAgain(t *testing.T, c *cluster) {
	b := c.started(t)
	var n *switchNode
	n = c.node(t, func(s *nodeSetup) {
		s.reactor.onAdd = func(p compat.PeerConn) { n.StopPeerForError(p, errTest) }
	})
	var once sync.Once
	_, cancel := n.Subscribe(func(ev events.Event) bool {
		if ev.Type() == events.PeerDisconnected {
			once.Do(func() { n.DialPeers(b.address()) })
		}

		return false
	})
	defer cancel()
	require.NoError(t, n.Start())
	n.DialPeers(b.address())
	c.await(t, "the peer is dialed again", func() bool {
		return n.log.count(initPeer, b.id()) > 1 || n.log.count(failed, b.id()) > 0
	})
}

func testDialSkipsNil(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	again := c.repeatHangUps(t, a, b)
	a.DialPeers()
	a.DialPeers(nil, b.address(), nil)
	c.awaitConnected(t, "the address among nils is dialed", again, a, b)
}

func testDialSkipsSelf(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	again := c.repeatHangUps(t, a, b)
	a.DialPeers(a.address(), b.address())
	c.awaitConnected(t, "the other address is dialed", again, a, b)
	requireOnly(t, a, b.id())
}

// requireOnly stops the node and checks that it has had no other peer.
func requireOnly(t *testing.T, n *switchNode, id types.ID) {
	t.Helper()
	require.NoError(t, n.Stop())
	strangers := n.log.all(func(e entry) bool {
		return e.id != id && (e.what == initPeer || e.what == addPeer || e.what == connected)
	})
	require.Empty(t, strangers, "%s", n.log)
}

// A peer that is dialed again and again is connected once.
func testDialSkipsDuplicates(t *testing.T, c *cluster) {
	a, b, other := c.started(t), c.started(t), c.started(t)
	again := c.repeatHangUps(t, a, b)
	a.DialPeers(b.address(), b.address(), b.address())
	a.DialPeers(b.address())
	c.await(t, "the nodes are connected", func() bool {
		again()

		return a.log.count(connected, b.id()) > 0 && b.log.count(connected, a.id()) > 0 &&
			a.Peers().Has(b.id()) && b.Peers().Has(a.id())
	})
	if c.repeatsOf(a) > 0 {
		c.forget(a, b.id(), 0)
		c.forget(b, a.id(), 0)
	}
	peer := a.Peers().Get(b.id())
	for range 3 {
		a.DialPeers(b.address(), b.address())
		c.connect(t, a, other)
		c.disconnect(t, a, other)
	}
	c.exchange(t, a, b)
	require.Same(t, peer, a.Peers().Get(b.id()))
	require.NoError(t, a.Stop())
	require.NoError(t, b.Stop())
	require.Equal(t, 1, a.log.count(initPeer, b.id()))
	require.Equal(t, 1, b.log.count(initPeer, a.id()))
}

func testDialWrongID(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	stranger := b.address()
	stranger.ID = types.GenerateNodeKey().ID()
	for range 3 {
		a.DialPeers(stranger)
		c.connect(t, a, b)
		c.exchange(t, a, b)
		c.disconnect(t, a, b)
	}
	require.False(t, a.Peers().Has(stranger.ID))
	requireOnly(t, a, b.id())
	requireOnly(t, b, a.id())
}

func testDialSelf(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	alias := a.address()
	alias.ID = types.GenerateNodeKey().ID()
	for range 3 {
		a.DialPeers(alias)
		c.connect(t, a, b)
		c.exchange(t, a, b)
		c.disconnect(t, a, b)
	}
	requireOnly(t, a, b.id())
}

func testDialNobody(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	nobody := types.NewNetAddressFromIPPort(b.addr.IP, freePort(t))
	nobody.ID = types.GenerateNodeKey().ID()
	again := c.repeatHangUps(t, a, b)
	a.DialPeers(nobody, b.address())
	c.awaitConnected(t, "the live address is dialed", again, a, b)
	requireOnly(t, a, b.id())
}

func testDialOtherNetwork(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	foreign := c.started(t, func(s *nodeSetup) { s.Info.Network = "another" })
	for range 3 {
		a.DialPeers(foreign.address())
		c.connect(t, a, b)
		c.disconnect(t, a, b)
	}
	requireOnly(t, a, b.id())
	requireOnly(t, foreign, "")
}
