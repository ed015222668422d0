package native

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/peer"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

var (
	_ compat.PeerConn        = (*peerConn)(nil)
	_ compat.DialectReporter = (*peerConn)(nil)
	_ compat.LivenessProber  = (*peerConn)(nil)
	_ compat.TunneledPeer    = (*peerConn)(nil)
	_ compat.LocalPeer       = (*peerConn)(nil)

	errNoReactor = errors.New("no reactor for the channel")
)

// peerConn is one verified remote on one TCP connection.
type peerConn struct {
	service.BaseService
	*peer.Base

	conn    *secretconn.SecretConnection
	dialect compat.Dialect
	bridge  types.ID // whose tunnel the connection runs in, or empty
	mconn   *mconn.MConnection
	config  ConnConfig
	started atomic.Bool
	closed  atomic.Bool
}

// ConnConfig says how a verified connection becomes a peer: how its channels are
// multiplexed, who receives from them, and who is told when it fails.
type ConnConfig struct {
	MConfig      mconn.MConnConfig
	ReactorsByCh map[byte]compat.Reactor
	ChDescs      []*compat.ChannelDescriptor
	// OnPeerError is called on a goroutine of the connection, perhaps more than once.
	OnPeerError func(compat.PeerConn, error)
}

// unserved returns the channels of which the remote was told and that are not registered here.
func (c ConnConfig) unserved(promised []byte) []byte {
	return slices.DeleteFunc(slices.Clone(promised), func(ch byte) bool {
		return slices.ContainsFunc(c.ChDescs, func(d *compat.ChannelDescriptor) bool { return d.ID == ch })
	})
}

// newPeer makes a peer of a verified connection. On an error the connection is
// closed.
func (mt *MultiplexTransport) newPeer(pending *Pending, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	p := &peerConn{
		Base:    peer.NewBase(pending.connInfo(behavior), pending.node, pending.conn.RemoteAddr()),
		conn:    pending.conn,
		dialect: pending.dialect,
		bridge:  pending.bridge,
		config: ConnConfig{
			MConfig: mt.mConfig, ReactorsByCh: behavior.Reactors(), ChDescs: behavior.ReactorChDescriptors(),
			OnPeerError: behavior.HandlePeerError,
		},
	}
	p.BaseService = *service.NewBaseService(mt.logger, p.Describe("native"), p)

	var err error
	p.mconn, err = mconn.NewMConnectionWithConfig(
		pending.conn, p.config.ChDescs, p.receive, p.fail, p.config.MConfig)
	if err != nil {
		pending.close()

		return nil, fmt.Errorf("unable to multiplex the connection with %s: %w", pending.socket, err)
	}
	p.mconn.SetLogger(mt.logger.With("peer", pending.ID()))
	p.mconn.DropUnserved(p.config.unserved(pending.promised))
	if err := mt.track(p); err != nil {
		pending.close()

		return nil, err
	}
	mt.logger.Debug("connection verified", "peer", pending.socket, "outbound", pending.outbound, "dialect", pending.dialect)

	return p, nil
}

// Dialect implements compat.DialectReporter.
func (p *peerConn) Dialect() compat.Dialect { return p.dialect }

// TunneledBy implements compat.TunneledPeer.
func (p *peerConn) TunneledBy() types.ID { return p.bridge }

// LocalIP implements compat.LocalPeer. A tunnel has no address of this machine.
func (p *peerConn) LocalIP() net.IP {
	at, ok := p.conn.LocalAddr().(*net.TCPAddr)
	if !ok || p.bridge != "" {
		return nil
	}

	return at.IP
}

// CloseLost implements compat.LocalPeer.
func (p *peerConn) CloseLost() error { return p.CloseConn() }

// receive runs on the delivery goroutine of the connection.
func (p *peerConn) receive(chID byte, msg []byte) {
	reactor := p.config.ReactorsByCh[chID]
	if reactor == nil {
		p.fail(fmt.Errorf("%w %#02x", errNoReactor, chID))

		return
	}
	reactor.Receive(chID, p, msg)
}

func (p *peerConn) fail(err error) {
	if isViolation(err) {
		err = fmt.Errorf("%w: %w", compat.ErrViolation, err)
	}
	p.config.OnPeerError(p, fmt.Errorf("connection with %s: %w", p.SocketAddr(), err))
}

// OnStart implements service.Service.
func (p *peerConn) OnStart() error {
	p.started.Store(true)

	return p.mconn.Start()
}

// OnStop implements service.Service. It does not wait for the delivery
// goroutine, which may be the one that calls it; the transport does in Close.
func (p *peerConn) OnStop() {
	if err := p.mconn.Stop(); err != nil && !errors.Is(err, service.ErrAlreadyStopped) {
		p.Logger.Debug("connection stopped with an error", "peer", p.ID(), "err", err)
	}
}

// FlushStop implements compat.PeerConn.
func (p *peerConn) FlushStop() {
	if !p.IsRunning() {
		return
	}
	p.mconn.FlushStop()
	if err := p.Stop(); err != nil && !errors.Is(err, service.ErrAlreadyStopped) {
		p.Logger.Debug("peer stopped with an error", "peer", p.ID(), "err", err)
	}
}

// CloseConn implements compat.PeerConn.
func (p *peerConn) CloseConn() error {
	p.closed.Store(true)

	return ignoreClosed(p.conn.Close())
}

// Status implements compat.PeerConn.
func (p *peerConn) Status() compat.ConnectionStatus { return p.mconn.Status() }

// Stack implements compat.StackReporter.
func (p *peerConn) Stack() types.Stack { return types.StackNative }

// Send implements compat.PeerConn.
func (p *peerConn) Send(chID byte, msg []byte) bool {
	return p.IsRunning() && p.HasChannel(chID) && p.mconn.Send(chID, msg)
}

// TrySend implements compat.PeerConn.
func (p *peerConn) TrySend(chID byte, msg []byte) bool {
	return p.IsRunning() && p.HasChannel(chID) && p.mconn.TrySend(chID, msg)
}

// ProbeAlive implements compat.LivenessProber; the connection fails with
// mconn.ErrProbeTimeout.
func (p *peerConn) ProbeAlive(timeout time.Duration) { p.mconn.ProbeAlive(timeout) }

// ended reports whether the connection is closed and nothing of it runs any more.
func (p *peerConn) ended() bool {
	select {
	case <-p.mconn.Done():
		return true
	default:
		return p.closed.Load() && !p.started.Load()
	}
}

// waitEnded waits for the goroutines of a peer whose connection was closed.
func (p *peerConn) waitEnded() {
	if err := p.Stop(); errors.Is(err, service.ErrNotStarted) {
		return
	}
	<-p.mconn.Done()
}
