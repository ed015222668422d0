package lp2p

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	basepeer "github.com/tm2-libp2p/tm2-libp2p/adapter/internal/peer"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Peer is one session as a compat.PeerConn. All methods may be called
// concurrently, and from Receive.
type Peer struct {
	service.BaseService
	*basepeer.Base

	s           *session
	delegatedBy types.ID
	seenAt      netip.Prefix
	flushOnce   sync.Once

	mtx    sync.Mutex
	reason error     // of StopForReason
	probed time.Time // when the probe that is under way ends; zero if there is none
}

var (
	_ compat.PeerConn      = (*Peer)(nil)
	_ compat.ReasonStopper = (*Peer)(nil)
	_ compat.ReasonFlusher = (*Peer)(nil)
	_ compat.DelegatedPeer = (*Peer)(nil)
	_ compat.LocalPeer     = (*Peer)(nil)
)

// newPeer returns the peer of a session. For an outbound one, dialed is the address where
// the remote was found (see prove). A shared connection that the remote has opened has
// another address, and so has one that was made after a meeting at a relay.
func newPeer(s *session, r remoteInfo, dialed *types.NetAddress) *Peer {
	info := connInfo(s.conn.RemoteMultiaddr(), r.id, s.behavior, s.outbound)
	if dialed != nil && dialed.IP != nil && (s.conn.Stat().Direction == network.DirInbound || s.t.met(s.conn)) {
		info.SocketAddr = &types.NetAddress{ID: r.id, IP: slices.Clone(dialed.IP), Port: dialed.Port}
	}

	remote := p2paddr.NetAddr(s.conn.RemoteMultiaddr())
	p := &Peer{Base: basepeer.NewBase(info, r.node, remote), s: s, delegatedBy: r.delegatedBy, seenAt: r.seenAt}
	p.BaseService = *service.NewBaseService(s.logger, p.Describe("Libp2pPeer"), p)

	return p
}

// OnStart implements service.Service.
func (p *Peer) OnStart() error {
	if err := p.s.start(); err != nil {
		return err
	}
	p.s.t.noteSession(p.s.conn)

	return nil
}

// OnStop implements service.Service. It does not wait for anything.
func (p *Peer) OnStop() {
	p.mtx.Lock()
	reason := p.reason
	p.mtx.Unlock()
	p.s.stop(reason)
}

// StopForReason implements compat.ReasonStopper: it sends the code and text of a
// *compat.RejectError to the remote. It closes a peer that was never started too, and
// returns the ErrNotStarted of Stop.
func (p *Peer) StopForReason(reason error) error {
	p.mtx.Lock()
	if p.reason == nil {
		p.reason = reason
	}
	p.mtx.Unlock()

	err := p.Stop()
	if errors.Is(err, service.ErrNotStarted) {
		p.s.stop(reason)
	}

	return err
}

// FlushStop implements compat.PeerConn: it stops the peer when the reactors of the remote
// have received all accepted messages, or after the flush timeout. Until then messages of
// the remote are delivered.
func (p *Peer) FlushStop() { p.FlushStopForReason(nil) }

// FlushStopForReason implements compat.ReasonFlusher: it is FlushStop, and sends the code and
// text of a *compat.RejectError to the remote. A later call changes neither.
func (p *Peer) FlushStopForReason(reason error) {
	p.flushOnce.Do(func() { p.s.flush(reason) })
	_ = p.Stop() // another call, or the end of the session, may have stopped it
}

// CloseConn implements compat.PeerConn: it ends the session at once, and reports a running
// peer to the switch with ErrConnClosed. The libp2p connection closes with its last
// session.
func (p *Peer) CloseConn() error {
	if p.s.t.enter() != nil {
		return nil // Close ends the session
	}
	defer p.s.t.tasks.Done()
	p.s.fail(ErrConnClosed)

	return nil
}

// DelegatedBy implements compat.DelegatedPeer.
func (p *Peer) DelegatedBy() (types.ID, bool) { return p.delegatedBy, p.delegatedBy != "" }

// SeenAt implements compat.DelegatedPeer.
func (p *Peer) SeenAt() netip.Prefix { return p.seenAt }

// LocalIP implements compat.LocalPeer. A connection over QUIC, or through a relay, has none.
func (p *Peer) LocalIP() net.IP {
	at := p.s.conn.LocalMultiaddr()
	if p2paddr.IsUDP(at) || isCircuit(p.s.conn.RemoteMultiaddr()) {
		return nil
	}
	ip, _, _ := p2paddr.Endpoint(at)

	return ip
}

// CloseLost implements compat.LocalPeer. It ends all sessions on the libp2p connection.
func (p *Peer) CloseLost() error { return p.s.conn.Close() }

// Unsent returns how many messages were accepted and not yet handed to libp2p. SendQueueSize of the
// status lacks those that are being written.
func (p *Peer) Unsent() int {
	o := p.s.out
	o.mtx.Lock()
	defer o.mtx.Unlock()

	return o.messages
}

// Stack implements compat.StackReporter.
func (p *Peer) Stack() types.Stack { return types.StackLibp2p }

// Send implements compat.PeerConn.
func (p *Peer) Send(chID byte, msg []byte) bool {
	return p.IsRunning() && p.s.out.send(chID, msg, true)
}

// TrySend implements compat.PeerConn.
func (p *Peer) TrySend(chID byte, msg []byte) bool {
	return p.IsRunning() && p.s.out.send(chID, msg, false)
}

// Status implements compat.PeerConn. SendQueueSize counts the messages that the writer has
// not taken yet.
func (p *Peer) Status() compat.ConnectionStatus {
	now := time.Now()
	st := compat.ConnectionStatus{SendMonitor: p.s.out.flow.Status(now), RecvMonitor: p.s.recv.Status(now)}
	if start := st.SendMonitor.Start; !start.IsZero() {
		st.Duration = now.Sub(start)
	}
	st.Channels = p.s.out.status(now)

	return st
}

// PeerID returns the libp2p peer ID of the connection: the peer's, or that of the node that
// speaks for it.
func (p *Peer) PeerID() peer.ID { return p.s.conn.RemotePeer() }
