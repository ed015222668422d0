package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/guard"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/ownaddr"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
	"github.com/tm2-libp2p/tm2-libp2p/internal/proxied"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

var (
	_ compat.ListeningTransport = (*MultiplexTransport)(nil)
	_ compat.ChannelAnnouncer   = (*MultiplexTransport)(nil)
)

// MultiplexTransport accepts and dials TCP connections and makes verified peers
// of them. All methods may be called concurrently.
type MultiplexTransport struct {
	nodeInfo types.NodeInfo
	nodeKey  types.NodeKey
	mConfig  mconn.MConnConfig
	logger   *slog.Logger
	relay    bool          // the remote's NodeInfo comes before ours
	timeout  time.Duration // HandshakeTimeout
	sockets  compat.Sockets

	ctx      context.Context // ends at Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup // the accept loop and the handshakes
	limits   HandshakeLimits
	places   *places.Places // of the inbound handshakes
	proxies  proxied.Networks
	inbound  *summary.Log // of inbound connections that come to nothing
	guard    guard.Guard
	incoming chan *Pending // closed by Close

	mtx      sync.Mutex
	listens  bool
	listener net.Listener // nil if another listener passes connections to Serve
	address  types.NetAddress
	interval time.Duration          // between look-ups of the own host name; 0 for the default
	peers    map[*peerConn]struct{} // until their goroutines have ended; not changed after Close
}

// NewMultiplexTransport returns a transport that presents itself with the node
// key and NodeInfo. A NodeInfo whose NetAddress has port 0 is completed with the
// port of Listen. If the NetAddress has a Hostname, that is looked up from Listen on, every
// 5 minutes and more often while it does not resolve, and gives the IP. A NodeInfo or configuration that peers would refuse, and an option
// that cannot be used, are reported by Listen and Dial. A nil logger discards.
func NewMultiplexTransport(
	nodeInfo types.NodeInfo,
	nodeKey types.NodeKey,
	mConfig mconn.MConnConfig,
	logger *slog.Logger,
	opts ...Option,
) *MultiplexTransport {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())

	mt := &MultiplexTransport{
		nodeInfo: nodeInfo,
		nodeKey:  nodeKey,
		mConfig:  mConfig,
		logger:   logger,
		timeout:  HandshakeTimeout,
		sockets:  socket.System{},
		inbound:  summary.New(logger),
		ctx:      ctx,
		cancel:   cancel,
		limits:   DefaultHandshakeLimits(),
		incoming: make(chan *Pending, acceptBacklog),
		peers:    make(map[*peerConn]struct{}),
	}
	if nodeInfo.NetAddress != nil {
		mt.address = *nodeInfo.NetAddress
	}
	for _, opt := range opts {
		opt(mt)
	}
	mt.places = places.New(places.Limits{
		Total: mt.limits.Total, PerHost: mt.limits.PerIP, Configured: mt.limits.Configured,
	})

	return mt
}

// NetAddress implements compat.Transport; before Listen it is the address of the
// NodeInfo.
func (mt *MultiplexTransport) NetAddress() types.NetAddress {
	mt.mtx.Lock()
	defer mt.mtx.Unlock()

	return mt.address
}

// Listen begins to accept TCP connections at the address's IP and port and
// returns; port 0 takes a free one, which NetAddress tells. Either unspecified IP,
// 0.0.0.0 or ::, means all addresses of both families that the machine has; the log
// names the families. It returns
// compat.ErrAlreadyListening on a second call and compat.ErrTransportClosed after Close.
func (mt *MultiplexTransport) Listen(addr types.NetAddress) error {
	mt.mtx.Lock()
	defer mt.mtx.Unlock()
	if mt.ctx.Err() != nil {
		return compat.ErrTransportClosed
	}
	if mt.listens {
		return compat.ErrAlreadyListening
	}

	listener, err := mt.sockets.Listen("tcp", addr.DialString())
	if err != nil {
		return fmt.Errorf("unable to listen at %s: %w", addr.DialString(), err)
	}
	address, err := types.NewNetAddress(mt.nodeKey.ID(), listener.Addr())
	if err != nil {
		return errors.Join(fmt.Errorf("unable to use listen address %s: %w", listener.Addr(), err), listener.Close())
	}
	if err := mt.listenAt(*address); err != nil {
		return errors.Join(err, listener.Close())
	}
	mt.listener = listener
	mt.logger.Info("listening for native connections", "address", listener.Addr(), "families", families(address.IP))
	mt.wg.Go(func() { mt.acceptLoop(listener) })

	return nil
}

// listenAt sets the address at which peers reach the node. The caller holds mtx.
func (mt *MultiplexTransport) listenAt(address types.NetAddress) error {
	if na := mt.nodeInfo.NetAddress; na != nil && na.Port == 0 {
		completed := *na
		completed.Port = address.Port
		mt.nodeInfo.NetAddress = &completed
	}
	if err := mt.checkLocal(); err != nil {
		return err
	}
	mt.listens, mt.address = true, address
	if na := mt.nodeInfo.NetAddress; na != nil && na.Hostname != "" {
		mt.wg.Go(func() { mt.followName(na.Hostname) })
	}

	return nil
}

// followName keeps the IP of the NodeInfo that of the node's own host name. Connections that
// begin later tell it.
func (mt *MultiplexTransport) followName(host string) {
	ownaddr.Name{
		Host: host, Interval: mt.interval, Logger: mt.logger,
		Found: func(ips []netip.Addr) {
			mt.mtx.Lock()
			defer mt.mtx.Unlock()
			moved := *mt.nodeInfo.NetAddress
			moved.IP = ownaddr.Choose(ips, netgroup.FromIP(moved.IP)).AsSlice()
			mt.nodeInfo.NetAddress = &moved
		},
	}.Follow(mt.ctx)
}

// MoveTo makes the IP and port those at which the NodeInfo says that the node can be dialed, for
// connections that begin later. A NodeInfo without an address is left as it is.
func (mt *MultiplexTransport) MoveTo(at netip.AddrPort) {
	mt.mtx.Lock()
	defer mt.mtx.Unlock()
	if mt.nodeInfo.NetAddress == nil {
		return
	}
	moved := *mt.nodeInfo.NetAddress
	moved.IP, moved.Port = at.Addr().AsSlice(), at.Port()
	mt.nodeInfo.NetAddress = &moved
}

// families names the families of IP addresses at which a listener with this IP takes
// connections.
func families(ip net.IP) string {
	switch {
	case ip.To4() != nil:
		return "IPv4"
	case ip.IsUnspecified():
		return "IPv4 and IPv6"
	default:
		return "IPv6"
	}
}

// checkLocal checks the configuration, and what peers will check of the NodeInfo.
// The caller holds mtx.
func (mt *MultiplexTransport) checkLocal() error {
	if err := mt.limits.Validate(); err != nil {
		return fmt.Errorf("%w: %w", compat.ErrInvalidOption, err)
	}
	if err := mt.checkProxies(); err != nil {
		return err
	}
	if mt.relay {
		return mt.mConfig.Validate()
	}
	if err := mt.nodeInfo.Validate(); err != nil {
		return fmt.Errorf("own node info is not valid: %w", err)
	}
	if have, want := mt.nodeInfo.ID(), mt.nodeKey.ID(); have != want {
		return fmt.Errorf("own node info has ID %s, the node key has %s", have, want)
	}

	return mt.mConfig.Validate()
}

func (mt *MultiplexTransport) localNodeInfo() types.NodeInfo {
	mt.mtx.Lock()
	defer mt.mtx.Unlock()

	return mt.nodeInfo
}

// setNodeInfo sets the NodeInfo that a relay shows if it has to speak first.
func (mt *MultiplexTransport) setNodeInfo(info types.NodeInfo) {
	mt.mtx.Lock()
	defer mt.mtx.Unlock()
	mt.nodeInfo = info
}

// AnnounceChannels implements compat.ChannelAnnouncer.
func (mt *MultiplexTransport) AnnounceChannels(channels []byte) (former []byte, err error) {
	mt.mtx.Lock()
	defer mt.mtx.Unlock()
	info := mt.nodeInfo
	info.Channels = channels
	if err := info.Validate(); err != nil {
		return nil, err
	}
	former, mt.nodeInfo = mt.nodeInfo.Channels, info

	return former, nil
}

// begin registers one operation that Close waits for.
func (mt *MultiplexTransport) begin() error {
	mt.mtx.Lock()
	defer mt.mtx.Unlock()
	if mt.ctx.Err() != nil {
		return compat.ErrTransportClosed
	}
	if err := mt.checkLocal(); err != nil {
		return err
	}
	mt.wg.Add(1)

	return nil
}

// Remove implements compat.Transport.
func (mt *MultiplexTransport) Remove(p compat.PeerConn) {
	if err := p.CloseConn(); err != nil {
		mt.logger.Debug("connection closed with an error", "peer", p.ID(), "err", err)
	}
}

// Close stops listening, closes every connection that is left, and waits until
// nothing of the transport runs. It must not be called from a reactor's Receive.
// Further calls return nil.
func (mt *MultiplexTransport) Close() error {
	mt.mtx.Lock()
	if mt.ctx.Err() != nil {
		mt.mtx.Unlock()
		return nil
	}
	mt.cancel()
	var err error
	if mt.listener != nil {
		err = mt.listener.Close()
	}
	mt.mtx.Unlock()

	mt.wg.Wait()
	close(mt.incoming)
	for pending := range mt.incoming {
		pending.leave()
		pending.close()
	}
	for p := range mt.peers {
		mt.Remove(p)
		p.waitEnded()
	}
	mt.inbound.Close()

	return err
}

// track adds a peer to those that Close closes, and removes those whose goroutines
// have ended.
func (mt *MultiplexTransport) track(p *peerConn) error {
	mt.mtx.Lock()
	defer mt.mtx.Unlock()
	if mt.ctx.Err() != nil {
		return compat.ErrTransportClosed
	}
	for old := range mt.peers {
		if old.ended() {
			delete(mt.peers, old)
		}
	}
	mt.peers[p] = struct{}{}

	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}

	return err
}
