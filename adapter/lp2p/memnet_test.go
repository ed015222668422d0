package lp2p

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	memPort   = 26656
	memBuffer = 256 << 10 // bytes on their way, as in the kernels of both ends
)

// memNet is TCP in the memory of one process, with any IP addresses. It works in a
// bubble of testing/synctest.
type memNet struct {
	mtx       sync.Mutex
	listeners map[string]*memListener
	ports     int
	conns     []*memConn
}

func newMemNet() *memNet { return &memNet{listeners: make(map[string]*memListener), ports: 40000} }

// silence drops everything that is sent from now on, without an error.
func (n *memNet) silence() {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	for _, c := range n.conns {
		c.in.cut()
	}
}

// silenceFrom loses what is sent from the IP, but not what is sent to it.
func (n *memNet) silenceFrom(ip net.IP) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	for _, c := range n.conns {
		if c.remote.IP.Equal(ip) {
			c.in.cut()
		}
	}
}

func (n *memNet) dial(from net.IP) dialFunc {
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		n.mtx.Lock()
		l := n.listeners[address]
		n.ports++
		local := &net.TCPAddr{IP: from, Port: n.ports}
		n.mtx.Unlock()
		if l == nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errors.ErrUnsupported)}
		}
		dialed, err := net.ResolveTCPAddr("tcp", address) // not that of the listener behind a NAT
		if err != nil {
			return nil, err
		}
		there, back := newMemPipe(), newMemPipe()
		ours := &memConn{in: back, out: there, local: local, remote: dialed}
		theirs := &memConn{in: there, out: back, local: l.addr, remote: local}
		n.mtx.Lock()
		n.conns = append(n.conns, ours, theirs)
		n.mtx.Unlock()
		select {
		case l.backlog <- theirs:
			return ours, nil
		case <-l.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// transport is the constructor of a libp2p transport over this network.
func (n *memNet) transport(at net.IP) any {
	return func(u transport.Upgrader, rm network.ResourceManager) (transport.Transport, error) {
		t, err := tcp.NewTCPTransport(u, rm, nil)

		return &memTransport{TcpTransport: t, net: n, upgrader: u, resources: rm, dial: n.dial(at)}, err
	}
}

// memTransport is libp2p's TCP transport with the connections of a memNet.
type memTransport struct {
	*tcp.TcpTransport
	net       *memNet
	upgrader  transport.Upgrader
	resources network.ResourceManager
	dial      dialFunc
}

// DialWithUpdates would be that of TCP.
func (t *memTransport) DialWithUpdates(
	ctx context.Context, a multiaddr.Multiaddr, p peer.ID, _ chan<- transport.DialUpdate,
) (transport.CapableConn, error) {
	return t.Dial(ctx, a, p)
}

func (t *memTransport) Dial(ctx context.Context, a multiaddr.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	scope, err := t.resources.OpenConnection(network.DirOutbound, true, a)
	if err != nil {
		return nil, err
	}
	c, err := t.dialScoped(ctx, a, p, scope)
	if err != nil {
		scope.Done()

		return nil, err
	}

	return c, nil
}

func (t *memTransport) dialScoped(
	ctx context.Context, a multiaddr.Multiaddr, p peer.ID, scope network.ConnManagementScope,
) (transport.CapableConn, error) {
	if err := scope.SetPeer(p); err != nil {
		return nil, err
	}
	c, err := t.dial(ctx, "tcp", p2paddr.NetAddr(a).String())
	if err != nil {
		return nil, err
	}
	mc, err := manet.WrapNetConn(c)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}

	return t.upgrader.Upgrade(ctx, t, mc, network.DirOutbound, p, scope)
}

func (t *memTransport) Listen(a multiaddr.Multiaddr) (transport.Listener, error) {
	ip, port, ok := p2paddr.Endpoint(a)
	if !ok {
		return nil, errors.New("not an address of TCP")
	}
	l := &memListener{
		net: t.net, addr: &net.TCPAddr{IP: ip, Port: int(port)},
		backlog: make(chan *memConn, 128), closed: make(chan struct{}),
	}
	t.net.mtx.Lock()
	t.net.listeners[l.addr.String()] = l
	t.net.mtx.Unlock()
	ml, err := manet.WrapNetListener(l)
	if err != nil {
		return nil, err
	}

	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(ml)), nil
}

type memListener struct {
	net     *memNet
	addr    *net.TCPAddr
	backlog chan *memConn
	closed  chan struct{}
	once    sync.Once
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Addr() net.Addr { return l.addr }

func (l *memListener) Close() error {
	l.once.Do(func() {
		l.net.mtx.Lock()
		delete(l.net.listeners, l.addr.String())
		l.net.mtx.Unlock()
		close(l.closed)
	})

	return nil
}

// memConn is one end of a connection.
type memConn struct {
	in, out       *memPipe
	local, remote *net.TCPAddr
}

func (c *memConn) Read(p []byte) (int, error)         { return c.in.read(p) }
func (c *memConn) Write(p []byte) (int, error)        { return c.out.write(p) }
func (c *memConn) LocalAddr() net.Addr                { return c.local }
func (c *memConn) RemoteAddr() net.Addr               { return c.remote }
func (c *memConn) SetReadDeadline(t time.Time) error  { return c.in.readers.set(t) }
func (c *memConn) SetWriteDeadline(t time.Time) error { return c.out.writers.set(t) }
func (c *memConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close is noticed by the other end, unless the way there is cut.
func (c *memConn) Close() error {
	c.in.close(true)
	c.out.close(false)

	return nil
}

// memPipe is one direction: a buffer that a cut pipe never passes on.
type memPipe struct {
	mtx              sync.Mutex
	buf              []byte
	isCut            bool
	readerGone       bool          // the reader's end is closed
	writerGone       bool          // the writer's end is closed
	changed          chan struct{} // closed at each change
	readers, writers *memDeadline
}

func newMemPipe() *memPipe {
	return &memPipe{changed: make(chan struct{}), readers: newMemDeadline(), writers: newMemDeadline()}
}

// notify is called with the lock held.
func (p *memPipe) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *memPipe) cut() {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.isCut = true
}

func (p *memPipe) close(reader bool) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if reader {
		p.readerGone = true
	} else {
		p.writerGone = true
	}
	p.notify()
}

func (p *memPipe) read(b []byte) (int, error) {
	for {
		p.mtx.Lock()
		changed := p.changed
		switch {
		case p.readerGone:
			p.mtx.Unlock()

			return 0, net.ErrClosed
		case len(p.buf) > 0 && !p.isCut:
			n := copy(b, p.buf)
			p.buf = append(p.buf[:0], p.buf[n:]...)
			p.notify()
			p.mtx.Unlock()

			return n, nil
		case p.writerGone && !p.isCut:
			p.mtx.Unlock()

			return 0, io.EOF
		}
		p.mtx.Unlock()
		select {
		case <-changed:
		case <-p.readers.passed():
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (p *memPipe) write(b []byte) (int, error) {
	written := 0
	for {
		p.mtx.Lock()
		changed := p.changed
		if p.writerGone || (p.readerGone && !p.isCut) {
			p.mtx.Unlock()

			return written, net.ErrClosed
		}
		n := min(len(b)-written, memBuffer-len(p.buf))
		p.buf = append(p.buf, b[written:written+n]...)
		if written += n; n > 0 {
			p.notify()
		}
		p.mtx.Unlock()
		if written == len(b) {
			return written, nil
		}
		if n > 0 {
			continue
		}
		select {
		case <-changed:
		case <-p.writers.passed():
			return written, os.ErrDeadlineExceeded
		}
	}
}

// memDeadline is a deadline of one direction.
type memDeadline struct {
	mtx   sync.Mutex
	timer *time.Timer
	ch    chan struct{}
}

func newMemDeadline() *memDeadline { return &memDeadline{ch: make(chan struct{})} }

func (d *memDeadline) passed() <-chan struct{} {
	d.mtx.Lock()
	defer d.mtx.Unlock()

	return d.ch
}

func (d *memDeadline) set(t time.Time) error {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	if d.timer == nil || !d.timer.Stop() {
		// The former deadline has passed, or is about to.
		d.ch = make(chan struct{})
	}
	d.timer = nil
	if t.IsZero() {
		return nil
	}
	ch := d.ch
	d.timer = time.AfterFunc(time.Until(t), func() { close(ch) })

	return nil
}

// newNode returns a node at an IP address of this network.
func (n *memNet) newNode(t testing.TB, ip net.IP, opts ...Option) *node {
	t.Helper()

	return n.newNodeAt(t, ip, memPort, opts...)
}

// newRaw is newRaw for a host at an IP address of this network, which listens nowhere.
func (n *memNet) newRaw(t testing.TB, ip net.IP) *raw {
	t.Helper()
	key := types.GenerateNodeKey()
	o, err := newOptions([]Option{withTCP(libp2p.Transport(n.transport(ip)), n.dial(ip))})
	require.NoError(t, err)
	h, err := newHost(key.PrivKey, o, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })

	return &raw{t: t, host: h, key: key, info: nodeInfo(key.ID())}
}

// forward lets connections to the address reach a listener elsewhere, as a router does.
func (n *memNet) forward(address, listener string) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	n.listeners[address] = n.listeners[listener]
}

func (n *memNet) newNodeAt(t testing.TB, ip net.IP, port uint16, opts ...Option) *node {
	t.Helper()
	key := types.GenerateNodeKey()
	info := nodeInfo(key.ID())
	opts = append([]Option{withTCP(libp2p.Transport(n.transport(ip)), n.dial(ip))}, opts...)
	tr, err := NewTransport(info, *key, nil, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(types.NetAddress{IP: ip, Port: port}))

	return &node{Transport: tr, behavior: newBehavior(), key: key, info: info}
}
