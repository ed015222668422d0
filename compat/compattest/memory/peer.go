package memory

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var (
	_ compat.PeerConn      = (*peerConn)(nil)
	_ compat.ReasonStopper = (*peerConn)(nil)
)

// The errors with which a connection ends.
var (
	// ErrTooLarge: a message exceeds the channel's RecvMessageCapacity.
	ErrTooLarge = errors.New("message exceeds the channel's capacity")
	// ErrPanicked: the Receive of a reactor panicked.
	ErrPanicked = errors.New("reactor panicked")
	// ErrRemoteStopped: the other side stopped the peer.
	ErrRemoteStopped = errors.New("the other side stopped")
)

// peerConn is one end of a connection.
type peerConn struct {
	service.BaseService

	transport *Transport
	behavior  compat.PeerBehavior
	reactors  map[byte]compat.Reactor
	capacity  map[byte]int // RecvMessageCapacity of our channels
	info      compat.ConnInfo
	node      types.NodeInfo
	pipe      *pipe
	out, in   *lane
	sent      flow
	received  flow
	reason    atomic.Pointer[error] // of StopForReason

	mtx    sync.RWMutex
	values map[string]any
}

func newPeerConn(t *Transport, b compat.PeerBehavior, info compat.ConnInfo, node types.NodeInfo, p *pipe) *peerConn {
	pc := &peerConn{
		transport: t,
		behavior:  b,
		reactors:  b.Reactors(),
		capacity:  make(map[byte]int),
		info:      info,
		node:      node,
		pipe:      p,
		values:    make(map[string]any),
	}
	for _, d := range b.ReactorChDescriptors() {
		pc.capacity[d.ID] = d.FillDefaults().RecvMessageCapacity
	}
	name := fmt.Sprintf("memory{%s %s outbound=%t}", info.SocketAddr.ID, info.SocketAddr.DialString(), info.Outbound)
	pc.BaseService = *service.NewBaseService(nil, name, pc)

	return pc
}

// OnStart implements service.Service. Like on a real stack, a connection that the other
// side has closed starts and then fails.
func (p *peerConn) OnStart() error {
	p.sent.begin()
	p.received.begin()

	return p.transport.deliver(p)
}

// OnStop implements service.Service. It may run on the delivery goroutine and
// does not wait for it.
func (p *peerConn) OnStop() {
	if reason := p.reason.Load(); reason != nil {
		p.pipe.close(remoteReason(*reason))

		return
	}
	p.pipe.close(ErrRemoteStopped)
}

// StopForReason implements compat.ReasonStopper. It also ends a peer that was
// never started.
func (p *peerConn) StopForReason(reason error) error {
	p.reason.CompareAndSwap(nil, &reason)
	err := p.Stop()
	if errors.Is(err, service.ErrNotStarted) {
		p.pipe.close(remoteReason(reason))

		return nil
	}

	return err
}

// FlushStop implements compat.PeerConn. It waits at most compat.SendTimeout.
func (p *peerConn) FlushStop() {
	deadline := time.NewTimer(compat.SendTimeout)
	defer deadline.Stop()
	for waiting := true; waiting && p.IsRunning() && p.out.pending.Load() > 0; {
		select {
		case <-p.out.idle:
		case <-p.pipe.done:
			waiting = false
		case <-deadline.C:
			waiting = false
		}
	}
	if err := p.Stop(); err != nil {
		p.Logger.Debug("peer was not running", "peer", p.ID(), "err", err)
	}
}

// CloseConn implements compat.PeerConn.
func (p *peerConn) CloseConn() error {
	p.pipe.close(errConnClosed)

	return nil
}

// run delivers messages to the reactors until the connection ends.
func (p *peerConn) run() {
	var buf []byte // reused, as a real stack does
	for {
		chID, msg, ok := p.next()
		if !ok {
			break
		}
		buf = append(buf[:0], msg...)
		p.received.add(len(msg))
		if err := p.receive(chID, buf); err != nil {
			p.pipe.close(err)
		}
	}
	if p.IsRunning() {
		p.behavior.HandlePeerError(p, p.pipe.err())
	}
}

// receive delivers a message to its reactor. A panic ends this connection only.
func (p *peerConn) receive(chID byte, msg []byte) (err error) {
	if len(msg) > p.capacity[chID] {
		return fmt.Errorf("channel %#02x: %w: %d bytes", chID, ErrTooLarge, len(msg))
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("channel %#02x: %w: %v\n%s", chID, ErrPanicked, v, debug.Stack())
		}
	}()
	p.reactors[chID].Receive(chID, p, msg)

	return nil
}

// next waits for a message. ok is false when the connection has ended.
func (p *peerConn) next() (chID byte, msg []byte, ok bool) {
	for {
		select {
		case <-p.pipe.done:
			return 0, nil, false
		default:
		}
		if chID, msg, ok = p.in.take(); ok {
			return chID, msg, true
		}
		select {
		case <-p.in.ready:
		case <-p.pipe.done:
			return 0, nil, false
		}
	}
}

// Send implements compat.PeerConn.
func (p *peerConn) Send(chID byte, msg []byte) bool {
	c := p.sendable(chID, msg)
	if c == nil {
		return false
	}
	if p.queue(c, msg) {
		return true
	}
	timeout := time.NewTimer(compat.SendTimeout)
	defer timeout.Stop()
	p.out.pending.Add(1)
	select {
	case c.queue <- msg:
		p.queued(c, msg)

		return true
	case <-timeout.C:
	case <-p.pipe.done:
	}
	p.unqueue()

	return false
}

// TrySend implements compat.PeerConn.
func (p *peerConn) TrySend(chID byte, msg []byte) bool {
	c := p.sendable(chID, msg)

	return c != nil && p.queue(c, msg)
}

// sendable returns the channel, or nil when the message cannot be sent on it.
func (p *peerConn) sendable(chID byte, msg []byte) *laneChannel {
	if len(msg) == 0 || !p.IsRunning() {
		return nil
	}

	return p.out.channel(chID)
}

// queue queues the message if there is room. It counts the message first, since the other
// side may take it at once.
func (p *peerConn) queue(c *laneChannel, msg []byte) bool {
	p.out.pending.Add(1)
	select {
	case c.queue <- msg:
		p.queued(c, msg)

		return true
	default:
		p.unqueue()

		return false
	}
}

func (p *peerConn) queued(c *laneChannel, msg []byte) {
	p.sent.add(len(msg))
	p.out.queued(c, len(msg))
}

func (p *peerConn) unqueue() {
	if p.out.pending.Add(-1) == 0 {
		signal(p.out.idle)
	}
}

func (p *peerConn) hasChannel(chID byte) bool { return slices.Contains(p.node.Channels, chID) }

// ID implements compat.PeerConn.
func (p *peerConn) ID() types.ID { return p.info.SocketAddr.ID }

// RemoteIP implements compat.PeerConn.
func (p *peerConn) RemoteIP() net.IP { return p.info.RemoteIP }

// RemoteAddr implements compat.PeerConn.
func (p *peerConn) RemoteAddr() net.Addr { return tcpAddr(p.info.SocketAddr) }

// IsOutbound implements compat.PeerConn.
func (p *peerConn) IsOutbound() bool { return p.info.Outbound }

// IsPersistent implements compat.PeerConn.
func (p *peerConn) IsPersistent() bool { return p.info.Persistent }

// IsPrivate implements compat.PeerConn.
func (p *peerConn) IsPrivate() bool { return p.info.Private }

// NodeInfo implements compat.PeerConn.
func (p *peerConn) NodeInfo() types.NodeInfo { return p.node }

// SocketAddr implements compat.PeerConn.
func (p *peerConn) SocketAddr() *types.NetAddress { return p.info.SocketAddr }

// Set implements compat.PeerConn.
func (p *peerConn) Set(key string, value any) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.values[key] = value
}

// Get implements compat.PeerConn.
func (p *peerConn) Get(key string) any {
	p.mtx.RLock()
	defer p.mtx.RUnlock()

	return p.values[key]
}

// Status implements compat.PeerConn.
func (p *peerConn) Status() compat.ConnectionStatus {
	s := compat.ConnectionStatus{SendMonitor: p.sent.status(), RecvMonitor: p.received.status()}
	if !s.SendMonitor.Start.IsZero() {
		s.Duration = time.Since(s.SendMonitor.Start)
	}
	for _, c := range p.out.chans {
		s.Channels = append(s.Channels, compat.ChannelStatus{
			ID:                c.desc.ID,
			SendQueueCapacity: cap(c.queue),
			SendQueueSize:     len(c.queue),
			Priority:          c.desc.Priority,
			RecentlySent:      c.recently.value(),
		})
	}

	return s
}
