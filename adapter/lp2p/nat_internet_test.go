package lp2p

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// internet carries UDP packets between sockets of one process. A socket with a
// private address is behind the NAT that has it.
type internet struct {
	mtx     sync.Mutex
	sockets map[netip.AddrPort]*udpSocket
	nats    map[netip.Addr]*natBox // by public address
	inside  map[netip.Addr]*natBox // by private address
	reached map[netip.Addr]bool    // where a packet was sent to
}

// natBox is a NAT with one public address: it gives each socket behind it one port
// (RFC 4787 endpoint-independent mapping), and lets in only what comes from where
// the socket has sent to (address- and port-dependent filtering).
type natBox struct {
	public  netip.Addr
	mapped  map[netip.AddrPort]uint16
	owners  map[uint16]netip.AddrPort
	sentTo  map[netip.AddrPort]map[netip.AddrPort]bool
	refused int // packets that nobody inside had asked for
}

type packet struct {
	from netip.AddrPort
	data []byte
}

func newInternet() *internet {
	return &internet{
		sockets: make(map[netip.AddrPort]*udpSocket),
		nats:    make(map[netip.Addr]*natBox), inside: make(map[netip.Addr]*natBox),
		reached: make(map[netip.Addr]bool),
	}
}

// behind puts a private address behind a new NAT.
func (n *internet) behind(public, private string) *natBox {
	box := &natBox{
		public: netip.MustParseAddr(public),
		mapped: make(map[netip.AddrPort]uint16), owners: make(map[uint16]netip.AddrPort),
		sentTo: make(map[netip.AddrPort]map[netip.AddrPort]bool),
	}
	n.mtx.Lock()
	defer n.mtx.Unlock()
	n.nats[box.public], n.inside[netip.MustParseAddr(private)] = box, box

	return box
}

// route delivers a packet at once, or drops it.
func (n *internet) route(from, to netip.AddrPort, data []byte) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	n.reached[to.Addr()] = true
	if box := n.inside[from.Addr()]; box != nil {
		from = box.out(from, to)
	}
	if box := n.nats[to.Addr()]; box != nil {
		var ok bool
		if to, ok = box.in(from, to.Port()); !ok {
			return
		}
	} else if n.inside[to.Addr()] != nil {
		return // nobody routes to private addresses
	}
	if s := n.sockets[to]; s != nil {
		select {
		case s.packets <- packet{from, data}:
		default: // a full socket drops, as UDP does
		}
	}
}

func (b *natBox) out(from, to netip.AddrPort) netip.AddrPort {
	port, ok := b.mapped[from]
	if !ok {
		port = uint16(40000 + len(b.mapped))
		b.mapped[from], b.owners[port] = port, from
		b.sentTo[from] = make(map[netip.AddrPort]bool)
	}
	b.sentTo[from][to] = true

	return netip.AddrPortFrom(b.public, port)
}

func (b *natBox) in(from netip.AddrPort, port uint16) (netip.AddrPort, bool) {
	owner, ok := b.owners[port]
	if !ok || !b.sentTo[owner][from] {
		b.refused++

		return netip.AddrPort{}, false
	}

	return owner, true
}

// udpSocket is one end of the internet as a net.PacketConn.
type udpSocket struct {
	net     *internet
	local   netip.AddrPort
	packets chan packet
	closed  chan struct{}
	once    sync.Once

	mtx     sync.Mutex
	expired chan struct{} // closed at the read deadline
}

func (n *internet) listen(_ string, at *net.UDPAddr) (net.PacketConn, error) {
	s := &udpSocket{
		net: n, local: unmapped(at), packets: make(chan packet, 1<<10),
		closed: make(chan struct{}), expired: make(chan struct{}),
	}
	n.mtx.Lock()
	defer n.mtx.Unlock()
	if n.sockets[s.local] != nil {
		return nil, os.ErrExist
	}
	n.sockets[s.local] = s

	return s, nil
}

func unmapped(a *net.UDPAddr) netip.AddrPort {
	at := a.AddrPort()

	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func (s *udpSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	s.mtx.Lock()
	expired := s.expired
	s.mtx.Unlock()
	select {
	case got := <-s.packets:
		return copy(p, got.data), net.UDPAddrFromAddrPort(got.from), nil
	case <-expired:
		return 0, nil, os.ErrDeadlineExceeded
	case <-s.closed:
		return 0, nil, net.ErrClosed
	}
}

func (s *udpSocket) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case <-s.closed:
		return 0, net.ErrClosed
	default:
	}
	s.net.route(s.local, unmapped(to.(*net.UDPAddr)), append([]byte(nil), p...))

	return len(p), nil
}

func (s *udpSocket) Close() error {
	s.once.Do(func() {
		s.net.mtx.Lock()
		delete(s.net.sockets, s.local)
		s.net.mtx.Unlock()
		close(s.closed)
	})

	return nil
}

func (s *udpSocket) LocalAddr() net.Addr            { return net.UDPAddrFromAddrPort(s.local) }
func (s *udpSocket) SetDeadline(t time.Time) error  { return s.SetReadDeadline(t) }
func (*udpSocket) SetWriteDeadline(time.Time) error { return nil } // nothing waits
func (*udpSocket) SetReadBuffer(int) error          { return nil }
func (*udpSocket) SetWriteBuffer(int) error         { return nil }

// SetReadDeadline knows those deadlines that quic-go uses: none, and one that has
// passed.
func (s *udpSocket) SetReadDeadline(t time.Time) error {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	over := false
	select {
	case <-s.expired:
		over = true
	default:
	}
	switch {
	case t.IsZero() && over:
		s.expired = make(chan struct{})
	case t.IsZero() || over:
	case t.After(time.Now()):
		return os.ErrInvalid
	default:
		close(s.expired)
	}

	return nil
}

// onlySource is the address of a node with one, as a quicreuse.SourceIPSelector.
type onlySource netip.Addr

func (s onlySource) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return netip.Addr(s).AsSlice(), nil
}

// shortDial is for a node that waits out a dial, which another one answers in time also on a busy
// machine.
func shortDial() Option {
	timeouts := patientTimeouts()
	timeouts.Dial = shortWait

	return WithTimeouts(timeouts)
}

// newNode returns a node with patientTimeouts, unless an option says otherwise, that speaks QUIC on
// this internet only, from and at one address. It knows the keys of others: there is no TCP to ask
// for them.
func (n *internet) newNode(t testing.TB, at string, known []*node, opts ...Option) *node {
	t.Helper()
	addr := netip.MustParseAddrPort(at)
	// Libp2p does not close a connection manager with options.
	own := func(m *quicreuse.ConnManager) error {
		t.Cleanup(func() { require.NoError(t, m.Close()) })

		return nil
	}
	opts = append([]Option{WithQUICOnly(), WithTimeouts(patientTimeouts()), WithLibp2pOptions(
		libp2p.QUICReuse(quicreuse.NewConnManager, own, quicreuse.OverrideListenUDP(n.listen),
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) {
				return onlySource(addr.Addr()), nil
			})))}, opts...)

	key := types.GenerateNodeKey()
	info := nodeInfo(key.ID())
	tr, err := NewTransport(info, *key, nil, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	maddr, err := multiaddr.NewMultiaddr("/ip4/" + addr.Addr().String() + "/udp/4001/quic-v1")
	require.NoError(t, err)
	require.NoError(t, tr.Host().Network().Listen(maddr))
	for _, other := range known {
		_, err := p2paddr.Learn(tr.book, other.Host().ID())
		require.NoError(t, err)
	}
	close(tr.opts.nat.listening) // as Listen does

	return &node{Transport: tr, behavior: newBehavior(), key: key, info: info}
}

// address is where the node listens.
func (n *node) address(at string) types.NetAddress {
	addr := netip.MustParseAddrPort(at)

	return types.NetAddress{ID: n.key.ID(), IP: addr.Addr().AsSlice(), Port: addr.Port()}
}
