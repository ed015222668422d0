package lp2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// Transport makes TM2 peers of libp2p sessions. It implements
// compat.ListeningTransport for one switch. All methods may be called concurrently.
type Transport struct {
	logger *slog.Logger
	opts   *options
	key    ed25519.PrivateKey
	id     types.ID
	host   host.Host

	book       *addrbook.Book
	gater      *gater
	metrics    *metrics
	inbound    *summary.Log   // what remotes can cause over and over
	handshakes *slots         // inbound handshakes and questions under way
	headers    *slots         // inbound data streams whose header has not arrived
	proposals  *places.Places // inbound streams of strangers that have not proposed a protocol
	spent      *spent         // delegated sessions, also former ones
	clock      *clock         // of this node, as peers see it
	ids        *p2paddr.IDs   // of peers that were asked about last
	sessions   *sessions
	buffers    *bufferPool
	pendings   chan *Pending
	completed  chan *Peer
	begun      chan struct{} // has a place: a session has started, see noteSession

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc
	tasks  sync.WaitGroup // calls and goroutines that Close waits for

	mtx      sync.Mutex
	closing  bool
	closed   chan struct{} // closed when Close is done
	nodeInfo types.NodeInfo
	listen   types.NetAddress
	conns    map[network.Conn]*connRef
	opened   map[*streamConn]struct{}

	served atomic.Pointer[compat.PeerBehavior]  // the last one given to Accept
	placed atomic.Pointer[func(netip.AddrPort)] // see OnPlaced
}

var (
	_ compat.ListeningTransport = (*Transport)(nil)
	_ compat.ChannelAnnouncer   = (*Transport)(nil)
)

// NewTransport returns a transport whose libp2p identity is the node key. It can dial at
// once, and is dialed after Listen. nodeInfo must have the ID of the key. A nil logger
// discards. The caller closes the transport.
func NewTransport(
	nodeInfo types.NodeInfo, nodeKey types.NodeKey, logger *slog.Logger, opts ...Option,
) (*Transport, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	if nodeInfo, err = o.announced(nodeInfo, nodeKey.ID()); err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	o.logger = logger
	if err := o.openBook(nodeInfo); err != nil {
		return nil, err
	}
	// Peers may send on every channel that they are told, also on one that nobody serves.
	o.budget.streams = max(o.budget.streams, streamsFor(len(nodeInfo.Channels)))
	gater := newGater()
	gater.log = summary.New(logger)
	gater.guard.Ask(o.admission)
	h, err := newHost(nodeKey.PrivKey, o, gater)
	if err != nil {
		return nil, err
	}

	l := o.limits
	t := &Transport{
		logger: logger, opts: o,
		inbound: gater.log,
		key:     nodeKey.PrivKey, id: nodeKey.ID(), nodeInfo: nodeInfo, host: h, book: o.book, gater: gater,
		handshakes: newSlots(l.Handshakes, l.HandshakesPerIP, l.HandshakesPerPeer),
		// A session opens all its streams at once when its node is busy.
		headers: newSlots(16*l.Handshakes, 16*l.HandshakesPerIP, 16*l.HandshakesPerPeer),
		proposals: places.New(places.Limits{
			Total: 4 * l.Handshakes, PerHost: 4 * l.HandshakesPerIP, Configured: l.Handshakes,
		}),
		clock: newClock(logger), ids: p2paddr.NewIDs(l.Connections),
		spent: newSpent(), sessions: o.sessions, buffers: newBufferPool(),
		pendings: make(chan *Pending), completed: make(chan *Peer), begun: make(chan struct{}, 1),
		closed: make(chan struct{}),
		listen: types.NetAddress{ID: nodeKey.ID()},
		conns:  make(map[network.Conn]*connRef),
		opened: make(map[*streamConn]struct{}),
	}
	gater.judgeBy(t.mayDialNamed)
	o.sessionless.exempt, o.sessionless.close, o.udp.reserves = t.isExempt, t.closeCrowded, gater.guard.Reserves
	o.sessionless.blocked = func(from netip.Addr, p peer.ID) bool { return gater.blockedIP(from) || p != "" && gater.blockedPeer(p) }
	h.Network().Notify(&network.NotifyBundle{ConnectedF: t.connected, DisconnectedF: t.disconnected})
	t.metrics = newMetrics(t)
	t.sessions.retire = t.metrics.retire
	t.handshakes.rate = newHandshakeRate(l.SessionsPerPeer)
	if err := t.metrics.register(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	h.SetStreamHandler(SessionProtocol, t.handler(t.handleSession))
	h.SetStreamHandler(ChannelProtocol, t.handler(t.handleData))
	h.SetStreamHandler(NodeInfoProtocol, t.answering(t.sendNodeInfo))
	h.Network().SetStreamHandler(t.negotiate)
	if err := errors.Join(t.watchPeers(), t.startNAT()); err != nil {
		return nil, errors.Join(err, t.Close())
	}

	return t, nil
}

// openBook makes an address book for the node unless it is given one. The port is left out, since
// it may not be known yet.
func (o *options) openBook(info types.NodeInfo) (err error) {
	if o.book == nil {
		self := types.NetAddress{ID: info.NetAddress.ID, IP: info.NetAddress.IP}
		o.book, err = addrbook.Open("", self, addrbook.WithLogger(o.logger))
	}
	if err == nil && o.nat.circuits {
		o.book.AllowRelayed()
	}

	return err
}

// announced checks the NodeInfo of the node with the ID, and returns what the node tells of
// itself: without its address if the node is private.
func (o *options) announced(info types.NodeInfo, id types.ID) (types.NodeInfo, error) {
	if err := info.Validate(); err != nil {
		return info, fmt.Errorf("unable to use the node info: %w", err)
	}
	if info.ID() != id {
		return info, fmt.Errorf("node info has the ID %s, the node key %s", info.ID(), id)
	}
	if o.private {
		info.NetAddress = &types.NetAddress{ID: id, IP: net.IPv4zero}
	}

	return info, nil
}

// Listen listens for TCP at the IP and port of the address, and with WithQUIC also for UDP.
// Either unspecified IP, 0.0.0.0 or ::, means all addresses of both families that the
// machine has; the log names the families. The system chooses the port if that is 0;
// NetAddress then has it, and so has the NodeInfo unless its port was set. The ID of the
// address is ignored. A second call returns compat.ErrAlreadyListening.
func (t *Transport) Listen(addr types.NetAddress) error {
	return t.listenWith(addr, func() (uint16, error) { return t.openListeners(addr) })
}

// listenWith notes that peers reach the node at the address, and the port that open returns.
func (t *Transport) listenWith(addr types.NetAddress, open func() (uint16, error)) error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.tasks.Done()

	t.mtx.Lock()
	defer t.mtx.Unlock()
	if t.listen.IP != nil {
		return compat.ErrAlreadyListening
	}
	t.announceOwn() // from the first moment
	port, err := open()
	if err != nil {
		t.opts.own.set(nil)

		return fmt.Errorf("unable to listen on %s: %w", addr.DialString(), err)
	}
	t.listen = types.NetAddress{ID: t.id, IP: slices.Clone(addr.IP), Port: port}
	close(t.opts.nat.listening)
	if na := t.nodeInfo.NetAddress; na.Port == 0 && !t.opts.private {
		completed := *na
		completed.Port = t.listen.Port
		t.nodeInfo.NetAddress = &completed
	}
	t.announceOwn()
	t.followName()

	return nil
}

// NodeInfo returns what this node tells of itself in the next session. Nobody changes what it
// points to.
func (t *Transport) NodeInfo() types.NodeInfo {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	return t.nodeInfo
}

// AnnounceChannels implements compat.ChannelAnnouncer.
func (t *Transport) AnnounceChannels(channels []byte) (former []byte, err error) {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	info := t.nodeInfo
	info.Channels = channels
	if err := info.Validate(); err != nil {
		return nil, err
	}
	former, t.nodeInfo = t.nodeInfo.Channels, info

	return former, nil
}

// NetAddress returns the node's ID with the IP and port of the listener; before
// Listen it has no IP.
func (t *Transport) NetAddress() types.NetAddress {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	addr := t.listen
	addr.IP = slices.Clone(addr.IP)

	return addr
}

// Host returns the libp2p host. The transport closes it.
func (t *Transport) Host() host.Host { return t.host }

// Multiaddrs returns the addresses of the host, each with /p2p/ and its peer ID.
func (t *Transport) Multiaddrs() []multiaddr.Multiaddr {
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: t.host.ID(), Addrs: t.host.Addrs()})
	if err != nil {
		return nil // only for a peer ID that is not one
	}

	return addrs
}

// Remove implements compat.Transport.
func (*Transport) Remove(p compat.PeerConn) {
	if p != nil {
		// Closing what is closed already is no error.
		_ = p.CloseConn()
	}
}

// Close ends all sessions with a goodbye, closes the host, and waits for
// everything the transport has started, running calls of Receive among it: it must
// not be called from there. Later calls wait for the first one.
func (t *Transport) Close() error {
	t.mtx.Lock()
	if t.closing {
		t.mtx.Unlock()
		<-t.closed

		return nil
	}
	t.closing = true
	t.mtx.Unlock()
	defer close(t.closed)
	active := t.sessions.close()

	// The stream handlers stay: they answer that this node shuts down, where a node
	// without them would look like one that does not speak the protocols.
	t.cancel()
	t.gater.close()
	for _, s := range active {
		s.fail(compat.ErrTransportClosed)
	}
	ended := make(chan struct{})
	go func() {
		t.sessions.alive.Wait()
		close(ended)
	}()
	// Goodbyes get time to arrive. A connection that has stalled is left to the host.
	task.WaitFor(ended, 3*t.opts.timeouts.Linger)

	err := t.host.Close()
	<-ended
	t.tasks.Wait()
	t.inbound.Close()
	t.metrics.unregister()

	return err
}

// untilClose returns a context that also ends when Close begins.
func (t *Transport) untilClose(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(t.ctx, cancel)

	return ctx, func() { stop(); cancel() }
}

// enter counts a call that Close has to wait for; tasks.Done ends it.
func (t *Transport) enter() error {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	if t.closing {
		return compat.ErrTransportClosed
	}
	t.tasks.Add(1)

	return nil
}

// handler makes handle a stream handler for which Close waits. It runs on a goroutine of
// libp2p's.
func (t *Transport) handler(handle func(network.Stream)) network.StreamHandler {
	return func(s network.Stream) {
		if t.enter() != nil {
			_ = s.ResetWithError(network.StreamShutdown)

			return
		}
		defer t.tasks.Done()
		handle(s)
	}
}

// The libp2p protocols of a session (docs/sessions.md §1).
const (
	SessionProtocol protocol.ID = "/tm2/session/1" // control stream
	ChannelProtocol protocol.ID = "/tm2/channel/1" // data stream
)

// tryEnd calls end, which ends streams, and waits for it at most the linger timeout. The
// end of a stream has no deadline of its own: it waits until the remote reads the data
// before it, or the connection fails. The caller is a task, or has a session that is alive.
func (t *Transport) tryEnd(end func()) {
	ended := make(chan struct{})
	t.tasks.Go(func() {
		defer close(ended)
		end()
	})
	task.WaitFor(ended, t.opts.timeouts.Linger)
}

func (t inner) IsPrivatePeer(id types.ID) bool { return t.isPrivatePeer(id) }

func (t *Transport) isPrivatePeer(id types.ID) bool {
	behavior := t.served.Load()

	return behavior != nil && (*behavior).IsPrivatePeer(id)
}
