package tunnel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	channel = 0x30
	// patience only ends a test that has already failed.
	patience = time.Minute
)

func loopback() types.NetAddress { return types.NetAddress{IP: net.IPv4(127, 0, 0, 1)} }

// node is a native node, whose connections may run in tunnels.
type node struct {
	compat.BaseReactor

	key      *types.NodeKey
	at       types.NetAddress
	sw       *adapter.MultiplexSwitch
	added    chan compat.PeerConn
	removed  chan types.ID
	received chan string
}

func (*node) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: channel, Priority: 1}}
}
func (n *node) AddPeer(p compat.PeerConn)                     { n.added <- p }
func (n *node) RemovePeer(p compat.PeerConn, _ any)           { n.removed <- p.ID() }
func (n *node) Receive(_ byte, _ compat.PeerConn, msg []byte) { n.received <- string(msg) }

func infoOf(key *types.NodeKey) types.NodeInfo {
	at := loopback()
	at.ID = key.ID()

	return types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}}, NetAddress: &at,
		Network: "tunnel", Version: "v1.0.0", Channels: []byte{channel}, Moniker: "node",
	}
}

// startNative starts a native node; sockets may be nil.
func startNative(t *testing.T, key *types.NodeKey, sockets compat.Sockets) *node {
	t.Helper()

	return startOn(t, key, native.NewMultiplexTransport(infoOf(key), *key, mconn.DefaultMConnConfig(), nil, native.WithSockets(sockets)))
}

func newSide(t *testing.T, key *types.NodeKey, listens bool) *lp2p.Transport {
	t.Helper()
	side, err := lp2p.NewTransport(infoOf(key), *key, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, side.Close()) })
	if listens {
		require.NoError(t, side.Listen(loopback()))
	}

	return side
}

// world is a bridge with a tunnel to one node that nobody can dial, and the node.
type world struct {
	bridge *lp2p.Transport
	server *Server
	node   *node
	side   *lp2p.Transport // of the node
}

func newWorld(t *testing.T, config Config) *world {
	t.Helper()
	w := &world{bridge: newSide(t, types.GenerateNodeKey(), true)}
	key := types.GenerateNodeKey()
	nowhere := loopback()
	nowhere.ID, nowhere.Port = key.ID(), stacktest.FreePortAt(t, nowhere.IP)
	config.Targets = []Target{{Node: nowhere, Listen: loopback()}}
	var err error
	w.server, err = Serve(w.bridge, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.server.Close()) })
	w.side = newSide(t, key, false)
	sockets := NewSockets(w.side, []types.NetAddress{w.bridge.NetAddress()}, nil)
	t.Cleanup(func() { require.NoError(t, sockets.Close()) })
	w.node = startNative(t, key, sockets)
	require.Eventually(t, func() bool {
		w.server.mtx.Lock()
		defer w.server.mtx.Unlock()

		return w.server.out[key.ID()] == 1
	}, patience, time.Millisecond, "the node keeps in reach")

	return w
}

func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// exchange sends a message each way.
func exchange(t *testing.T, a, b compat.PeerConn, na, nb *node) {
	t.Helper()
	require.True(t, a.Send(channel, []byte("to b")))
	require.Equal(t, "to b", next(t, nb.received))
	require.True(t, b.Send(channel, []byte("to a")))
	require.Equal(t, "to a", next(t, na.received))
}

// A native node dials a node that has libp2p connections only, and that nobody can dial, by its
// own ID at the bridge. Each proves its ID to the other, and neither sees the bridge.
func TestNativeNodeDialsThroughATunnel(t *testing.T) {
	w := newWorld(t, Config{})
	far := startNative(t, types.GenerateNodeKey(), nil)
	at := w.server.Addresses()
	require.Len(t, at, 1)
	require.Equal(t, w.node.key.ID(), at[0].ID)
	far.sw.DialPeers(&at[0])
	out, in := next(t, far.added), next(t, w.node.added)
	require.Equal(t, w.node.key.ID(), out.ID())
	require.Equal(t, far.key.ID(), in.ID())
	require.Equal(t, "127.0.0.1", in.RemoteIP().String())
	require.NotEqual(t, w.bridge.NetAddress().Port, in.SocketAddr().Port, "it is the native node's address")
	exchange(t, out, in, far, w.node)

	w.node.sw.StopPeerForError(in, net.ErrClosed)
	require.Equal(t, w.node.key.ID(), next(t, far.removed), "the end of one side is that of the other")
}

// The node dials a native node that the bridge allows by its address.
func TestNodeDialsThroughATunnel(t *testing.T) {
	far := startNative(t, types.GenerateNodeKey(), nil)
	w := newWorld(t, Config{Reach: reach(far.at)})
	w.node.sw.DialPeers(&far.at)
	out, in := next(t, w.node.added), next(t, far.added)
	require.Equal(t, far.key.ID(), out.ID())
	require.Equal(t, w.node.key.ID(), in.ID())
	require.Equal(t, far.at.DialString(), out.SocketAddr().DialString())
	exchange(t, out, in, w.node, far)
	require.NoError(t, w.server.Close())
	next(t, w.node.removed)
	next(t, far.removed)
}

// A tunnel leads nowhere but to the bridge's native nodes, and for nobody but its targets.
func TestTunnelsAreNoOpenProxy(t *testing.T) {
	far := startNative(t, types.GenerateNodeKey(), nil)
	w := newWorld(t, Config{Reach: reach(far.at)})
	ask := func(by *lp2p.Transport, address string) error {
		s := &Sockets{side: by, bridges: []types.NetAddress{w.bridge.NetAddress()}}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := s.DialContext(ctx, "tcp", address)
		if err == nil {
			require.NoError(t, conn.Close())
		}

		return err
	}
	stranger := newSide(t, types.GenerateNodeKey(), false)
	require.NoError(t, ask(w.side, far.at.DialString()))
	var refused *RefusedError
	require.ErrorAs(t, ask(stranger, far.at.DialString()), &refused)
	require.Contains(t, refused.Reason, "no tunnel for this node")
	require.ErrorAs(t, ask(stranger, ""), &refused)
	require.ErrorAs(t, ask(w.side, "127.0.0.1:22"), &refused)
	require.Contains(t, refused.Reason, "native nodes only")
	plain := newSide(t, types.GenerateNodeKey(), true)
	s := &Sockets{side: w.side, bridges: []types.NetAddress{plain.NetAddress()}}
	_, err := s.DialContext(t.Context(), "tcp", far.at.DialString())
	require.ErrorIs(t, err, errNoBridge, "a node is no bridge")
}

// A node takes tunnels of its bridges only, and needs to know where the native node is.
func TestNodeTakesTunnelsOfItsBridges(t *testing.T) {
	w := newWorld(t, Config{})
	at := w.side.NetAddress()
	at.IP, at.Port = net.IPv4(127, 0, 0, 1), 1
	open := func(by *lp2p.Transport, text string) error {
		stream, err := by.OpenStream(t.Context(), at, protocolIn)
		require.NoError(t, err)
		defer stream.Close()

		return ask(stream, text)
	}
	require.NoError(t, open(w.bridge, "9.9.9.9:1"))
	var refused *RefusedError
	require.ErrorAs(t, open(w.bridge, "somewhere"), &refused)
	require.Error(t, open(w.bridge, string(make([]byte, 2*maxText))), "an address is bounded")

	other := newSide(t, types.GenerateNodeKey(), true)
	other.AddrBook().LearnKey(ed25519.PublicKey(w.node.key.PrivKey[ed25519.SeedSize:]))
	otherAt := other.NetAddress()
	kept, err := w.side.OpenStream(t.Context(), otherAt, lp2p.NodeInfoProtocol) // a connection to it
	require.NoError(t, err)
	defer kept.Close()
	_, err = wire.ReadSized(kept, 1<<14)
	require.NoError(t, err)
	require.ErrorAs(t, open(other, "9.9.9.9:1"), &refused)
	require.Contains(t, refused.Reason, "no tunnel through the bridge")
}

func reach(at types.NetAddress) func() []*types.NetAddress {
	return func() []*types.NetAddress { return []*types.NetAddress{&at} }
}

// The tunnels of a target are bounded, in all and by host, and nobody from a blocked IP has one.
// Those from a crowded network give way as long as their nodes may have proved no ID.
func TestTunnelsAreBounded(t *testing.T) {
	blocked := netip.MustParseAddr("51.0.0.1")
	s := &Server{
		config: Config{Blocks: func(ip netip.Addr) bool { return ip == blocked }},
		places: map[types.ID]*places.Places{"a": newPlaces(), "b": newPlaces()},
		out:    make(map[types.ID]int), hosts: make(map[hostOf]int),
	}
	evicted := 0
	take := func(target types.ID, ip netip.Addr) (*places.Place, func(), error) {
		return s.take(target, ip, func() { evicted++ })
	}
	_, _, err := take("a", blocked)
	require.ErrorIs(t, err, errBlocked)
	var taken []*places.Place
	var releases []func()
	for i := range maxTunnels - reserved {
		p, release, err := take("a", netip.AddrFrom4([4]byte{52, 0, byte(i / maxPerHost), 1}))
		require.NoError(t, err)
		taken, releases = append(taken, p), append(releases, release)
	}
	_, _, err = take("a", netip.AddrFrom4([4]byte{52, 0, 1, 1}))
	require.ErrorIs(t, err, errCrowded)
	require.Zero(t, evicted)
	_, release, err := take("a", netip.MustParseAddr("53.0.0.1"))
	require.NoError(t, err)
	require.Equal(t, 1, evicted, "one of the flood")
	release()
	_, _, err = take("a", netip.MustParseAddr("53.0.0.1"))
	require.NoError(t, err)
	for _, p := range taken {
		p.Settle()
	}
	_, _, err = take("a", netip.MustParseAddr("54.0.0.1"))
	require.NoError(t, err)
	require.Equal(t, 2, evicted, "the only one that is not settled")
	_, _, err = take("b", netip.MustParseAddr("53.0.0.1"))
	require.NoError(t, err)
	for _, release := range releases {
		release()
	}
	require.Len(t, s.hosts, 3)
	for range maxTunnels {
		require.True(t, s.takeOut("a"))
	}
	require.False(t, s.takeOut("a"))
	s.releaseOut("a")
	require.True(t, s.takeOut("a"))
}

// Who opens many tunnels does not fill the log.
func TestTunnelsAreSummedUpInTheLog(t *testing.T) {
	var log bytes.Buffer
	s := &Server{events: summary.New(slog.New(slog.NewTextHandler(&log, nil))), counted: newCounters()}
	defer s.events.Close()
	for range 3 {
		conn, end := net.Pipe()
		stream, other := net.Pipe()
		require.NoError(t, end.Close())
		s.pass(conn, stream, "a", "in")
		require.NoError(t, other.Close())
	}
	require.Equal(t, 1, strings.Count(log.String(), "tunnel is open"))
	require.Equal(t, 1, strings.Count(log.String(), "tunnel has ended"))
}

// A block that comes later ends tunnels of both directions, and refuses further ones.
func TestBlockEndsTunnels(t *testing.T) {
	var on atomic.Bool
	far := startNative(t, types.GenerateNodeKey(), nil)
	w := newWorld(t, Config{Reach: reach(far.at), Blocks: func(ip netip.Addr) bool { return on.Load() && ip.IsLoopback() }})
	w.node.sw.DialPeers(&far.at)
	next(t, w.node.added)
	next(t, far.added)
	dialing := startNative(t, types.GenerateNodeKey(), nil)
	dialing.sw.DialPeers(&w.server.Addresses()[0])
	next(t, dialing.added)
	on.Store(true)
	w.server.EndBlocked()
	next(t, far.removed)
	next(t, dialing.removed)
}

// door admits, reserves and judges as the test says.
type door struct {
	admit    func(ip net.IP) error
	reserves func(ip net.IP) bool
	ended    chan bool // whether the native node has ended a tunnel
}

func (d *door) AdmitConn(ip net.IP) error   { return d.admit(ip) }
func (d *door) ReservesConn(ip net.IP) bool { return d.reserves(ip) }
func (d *door) TunnelEnded(_ netip.Prefix, lasted time.Duration, byNode bool) {
	if lasted > 0 {
		d.ended <- byNode
	}
}

func openDoor() *door {
	return &door{
		admit: func(net.IP) error { return nil }, reserves: func(net.IP) bool { return false }, ended: make(chan bool, 16),
	}
}

// The ports of tunnels have the admission of the bridge's other ports: it is asked about each
// client, also behind a proxy, and told which side has ended a tunnel.
func TestTunnelPortsHaveAdmission(t *testing.T) {
	d, asked := openDoor(), make(chan string, 16)
	d.admit = func(ip net.IP) error {
		asked <- ip.String()
		if ip.Equal(net.IPv4(9, 9, 0, 1)) {
			return compat.Reject(compat.RejectBanned, "misbehaves")
		}

		return nil
	}
	w := newWorld(t, Config{Admission: d, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}})
	from := func(header string) net.Conn {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
		conn, err := dialer.DialContext(t.Context(), "tcp", w.server.Addresses()[0].DialString())
		require.NoError(t, err)
		_, err = conn.Write([]byte(header))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })

		return conn
	}
	refused := from("PROXY TCP4 9.9.0.1 127.0.0.9 1 2\r\n")
	require.Equal(t, "9.9.0.1", next(t, asked))
	_, err := refused.Read(make([]byte, 1))
	require.Error(t, err)
	noHeader := from("no header at all\r\n")
	_, err = noHeader.Read(make([]byte, 1))
	require.Error(t, err)

	honest := from("PROXY TCP4 9.9.0.2 127.0.0.9 4711 2\r\n")
	require.Equal(t, "9.9.0.2", next(t, asked))
	require.Eventually(t, func() bool { return len(w.server.Status()[0].Open) == 1 }, patience, time.Millisecond)
	require.Equal(t, "9.9.0.2:4711", w.server.Status()[0].Open[0].Address, "the client, not the proxy")
	require.NoError(t, honest.Close())
	next(t, d.ended)

	for _, byNode := range []bool{true, false} {
		far := startNative(t, types.GenerateNodeKey(), nil)
		far.sw.DialPeers(&w.server.Addresses()[0])
		require.Equal(t, "127.0.0.1", next(t, asked))
		out, in := next(t, far.added), next(t, w.node.added)
		if byNode {
			far.sw.StopPeerForError(out, net.ErrClosed)
		} else {
			w.node.sw.StopPeerForError(in, net.ErrClosed)
		}
		require.Equal(t, byNode, next(t, d.ended))
		next(t, w.node.removed)
	}
	require.Equal(t, []Refusals{{In, "conduct", 1}, {In, "no header", 1}}, w.server.Status()[0].Refusals)
}

// fromConn is a connection from an IP.
type fromConn struct {
	net.Conn
	ip net.IP
}

func (c fromConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: c.ip, Port: 1} }

// The judge is told of what was let in only: the points of a host fade by no connection that has
// cost none, as from a blocked IP in an IPv6 /64 whose other IPs are not blocked.
func TestOnlyWhoIsLetInIsJudged(t *testing.T) {
	told := 0
	d := &countingDoor{door: openDoor(), told: &told}
	blocked, crowded := net.ParseIP("2001:db8::1"), net.ParseIP("2001:db9::1")
	s := &Server{
		config: Config{Admission: d, Blocks: func(ip netip.Addr) bool { return ip == netip.MustParseAddr("2001:db8::1") }},
		places: map[types.ID]*places.Places{"a": newPlaces()}, hosts: make(map[hostOf]int),
		events: summary.New(slog.New(slog.DiscardHandler)), counted: newCounters(), ctx: t.Context(),
	}
	defer s.events.Close()
	s.hosts[hostOf{"a", netip.MustParsePrefix("2001:db9::/64")}] = maxPerHost
	for _, c := range []struct {
		ip      net.IP
		ofProxy bool
		told    int
	}{{blocked, false, 0}, {crowded, true, 0}, {crowded, false, 1}} {
		near, far := net.Pipe()
		s.admit(fromConn{near, c.ip}, Target{Node: types.NetAddress{ID: "a"}}, c.ofProxy)
		_, err := far.Read(make([]byte, 1))
		require.Error(t, err, "it is refused")
		require.NoError(t, far.Close())
		require.Equal(t, c.told, told, c.ip)
	}
}

// countingDoor counts the ends that it is told of.
type countingDoor struct {
	*door
	told *int
}

func (d *countingDoor) TunnelEnded(netip.Prefix, time.Duration, bool) { *d.told++ }

// Hosts of configured nodes have places apart, and those of all others when these are taken.
func TestReservedTunnels(t *testing.T) {
	d, friend := openDoor(), netip.MustParseAddr("51.0.0.1")
	d.reserves = func(ip net.IP) bool { return ip.Equal(friend.AsSlice()) || ip.IsLoopback() }
	s := &Server{
		config: Config{Admission: d}, places: map[types.ID]*places.Places{"a": newPlaces()},
		out: make(map[types.ID]int), hosts: make(map[hostOf]int),
	}
	take := func(ip netip.Addr) error {
		p, _, err := s.take("a", ip, func() {})
		if err == nil {
			p.Settle()
		}

		return err
	}
	for i := range maxTunnels - reserved {
		require.NoError(t, take(netip.AddrFrom4([4]byte{52, byte(i), 0, 1})))
	}
	require.ErrorIs(t, take(netip.MustParseAddr("53.0.0.1")), errFull)
	for range reserved {
		require.NoError(t, take(friend))
	}
	require.ErrorIs(t, take(netip.MustParseAddr("127.0.0.1")), errFull, "every place is taken")
}

// The status shows each target, what is open, and what was passed on.
func TestTunnelStatus(t *testing.T) {
	far, dialing := startNative(t, types.GenerateNodeKey(), nil), startNative(t, types.GenerateNodeKey(), nil)
	w := newWorld(t, Config{Reach: reach(far.at)})
	s := w.server.Status()
	require.Len(t, s, 1)
	require.Equal(t, w.node.key.ID(), s[0].ID)
	require.Equal(t, w.server.Addresses()[0].String(), s[0].Listen)
	require.True(t, s[0].InReach)
	require.Empty(t, s[0].Open)

	w.node.sw.DialPeers(&far.at)
	out := next(t, w.node.added)
	next(t, far.added)
	dialing.sw.DialPeers(&w.server.Addresses()[0])
	next(t, dialing.added)
	in := next(t, w.node.added)
	exchange(t, out, far.sw.Peers().List()[0], w.node, far)
	s = w.server.Status()
	require.Len(t, s[0].Open, 2)
	require.Equal(t, Out, s[0].Open[0].Direction)
	require.Equal(t, far.at.DialString(), s[0].Open[0].Address)
	require.Equal(t, In, s[0].Open[1].Direction)
	require.NotZero(t, s[0].Open[0].ToNative)
	require.NotZero(t, s[0].Open[0].ToLibp2p)

	w.node.sw.StopPeerForError(in, net.ErrClosed)
	w.node.sw.StopPeerForError(out, net.ErrClosed)
	require.Eventually(t, func() bool { return len(w.server.Status()[0].Open) == 0 }, patience, time.Millisecond)
	require.EqualValues(t, 2, w.server.Status()[0].Opened)
	require.GreaterOrEqual(t, w.server.Status()[0].ToNative, s[0].ToNative)
}

// slowSockets dial until the context ends.
type slowSockets struct{ socket.System }

func (slowSockets) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()

	return nil, ctx.Err()
}

// A node learns that a native node does not answer, though the dial takes all its time.
func TestRefusalAfterASlowDialIsTold(t *testing.T) {
	far := loopback()
	far.ID, far.Port = types.GenerateNodeKey().ID(), 1
	w := newWorld(t, Config{Reach: reach(far), Sockets: slowSockets{}})
	s := &Sockets{side: w.side, bridges: []types.NetAddress{w.bridge.NetAddress()}}
	_, err := s.DialContext(t.Context(), "tcp", far.DialString())
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, reasons[reasonUnreachable], refused.Reason)
}
