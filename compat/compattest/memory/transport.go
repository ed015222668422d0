package memory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// backlogSize is how many dials wait for Accept.
const backlogSize = 128

var _ compat.Transport = (*Transport)(nil)

// Transport implements compat.Transport on a Network. It listens until Close. All methods
// may be called concurrently.
type Transport struct {
	network *Network
	Node    types.NodeInfo
	backlog chan *hello
	done    chan struct{}

	noAdmission atomic.Bool

	mtx    sync.Mutex
	closed bool
	peers  map[*peerConn]struct{}
	wg     sync.WaitGroup // delivery goroutines
}

// hello is a dial that waits for Accept.
type hello struct {
	from     *Transport
	behavior compat.PeerBehavior
	claimed  atomic.Bool // set by Accept, which answers it, or by Dial, which gives up
	reply    chan reply
}

type reply struct {
	conn *peerConn
	err  error
}

func newTransport(network *Network, node types.NodeInfo) *Transport {
	return &Transport{
		network: network,
		Node:    node,
		backlog: make(chan *hello, backlogSize),
		done:    make(chan struct{}),
		peers:   make(map[*peerConn]struct{}),
	}
}

// NodeInfo returns the NodeInfo that peers receive.
func (t *Transport) NodeInfo() types.NodeInfo { return t.Node }

// NetAddress implements compat.Transport.
func (t *Transport) NetAddress() types.NetAddress { return *t.Node.NetAddress }

// SkipAdmission makes the transport behave like a stack whose handshake cannot carry a
// refusal: Accept returns a peer without asking the switch.
func (t *Transport) SkipAdmission() { t.noAdmission.Store(true) }

// Accept implements compat.Transport.
func (t *Transport) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.done:
			return nil, compat.ErrTransportClosed
		case h := <-t.backlog:
			if !h.claimed.CompareAndSwap(false, true) {
				continue
			}
			conn, err := t.answer(h, behavior)
			if err == nil {
				return conn, nil
			}
			h.reply <- reply{err: err}
		}
	}
}

// answer makes both ends of a connection, or returns the error for the dialer.
func (t *Transport) answer(h *hello, behavior compat.PeerBehavior) (*peerConn, error) {
	if err := t.Node.CompatibleWith(h.from.Node); err != nil {
		return nil, &compat.RejectError{Code: compat.RejectIncompatible, Reason: err.Error(), Remote: true}
	}
	source := types.NewNetAddressFromIPPort(h.from.Node.NetAddress.IP, t.network.nextPort())
	source.ID = h.from.Node.ID()
	info := connInfo(source, false, behavior)
	if err := t.mayAdmit(info, h.from.Node, behavior); err != nil {
		return nil, remoteReason(err)
	}

	target := t.NetAddress()
	p := newPipe()
	ours := newPeerConn(t, behavior, info, h.from.Node, p)
	theirs := newPeerConn(h.from, h.behavior, connInfo(&target, true, h.behavior), t.Node, p)
	ours.out, theirs.in = newLane(ours, theirs)
	theirs.out, ours.in = newLane(theirs, ours)
	if err := errors.Join(t.track(ours), h.from.track(theirs)); err != nil {
		p.close(err)

		return nil, err
	}
	h.reply <- reply{conn: theirs}

	return ours, nil
}

func connInfo(socket *types.NetAddress, outbound bool, behavior compat.PeerBehavior) compat.ConnInfo {
	return compat.ConnInfo{
		Outbound:   outbound,
		Persistent: behavior.IsPersistentPeer(socket.ID),
		Private:    behavior.IsPrivatePeer(socket.ID),
		RemoteIP:   socket.IP,
		SocketAddr: socket,
	}
}

func (t *Transport) mayAdmit(info compat.ConnInfo, node types.NodeInfo, behavior compat.PeerBehavior) error {
	admission, ok := behavior.(compat.PeerAdmission)
	if !ok || t.noAdmission.Load() {
		return nil
	}

	return admission.AdmitPeer(info, node)
}

// Dial implements compat.Transport. The error wraps ErrRefused when no Transport listens
// at the address, and is a *compat.RejectError when either side refuses the other.
func (t *Transport) Dial(ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	if t.isClosed() {
		return nil, compat.ErrTransportClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	target := t.network.find(addr)
	if target == nil {
		return nil, fmt.Errorf("dial %s: %w", &addr, ErrRefused)
	}
	if id := target.Node.ID(); id != addr.ID {
		return nil, compat.Reject(compat.RejectIdentity, "dialed %s, found %s", addr.ID, id)
	}
	if t.Node.CompatibleWith(target.Node) == nil { // else the target refuses
		if err := t.mayAdmit(connInfo(&addr, true, behavior), target.Node, behavior); err != nil {
			return nil, err
		}
	}
	h := &hello{from: t, behavior: behavior, reply: make(chan reply, 1)}
	select {
	case target.backlog <- h:
	case <-target.done:
		return nil, fmt.Errorf("dial %s: %w", &addr, ErrRefused)
	case <-t.done:
		return nil, compat.ErrTransportClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}

	return t.await(ctx, target, h)
}

// await waits for the answer to a dial. When the context ends, it gives the dial up, unless
// Accept has claimed it: then the answer is certain to follow, and a connection must not
// be lost.
func (t *Transport) await(ctx context.Context, target *Transport, h *hello) (compat.PeerConn, error) {
	var cause error
	select {
	case r := <-h.reply:
		return r.result()
	case <-target.done:
		cause = fmt.Errorf("dial %s: %w", target.Node.NetAddress, ErrRefused)
	case <-t.done:
		cause = compat.ErrTransportClosed
	case <-ctx.Done():
		cause = ctx.Err()
	}
	if h.claimed.CompareAndSwap(false, true) {
		return nil, cause
	}

	return (<-h.reply).result()
}

func (r reply) result() (compat.PeerConn, error) {
	if r.err != nil {
		return nil, r.err
	}

	return r.conn, nil
}

// Remove implements compat.Transport.
func (t *Transport) Remove(peer compat.PeerConn) {
	p, ok := peer.(*peerConn)
	if !ok {
		return
	}
	t.mtx.Lock()
	delete(t.peers, p)
	t.mtx.Unlock()
	p.pipe.close(errConnClosed)
}

// NumPeers returns the number of connections that were not removed.
func (t *Transport) NumPeers() int {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	return len(t.peers)
}

// Close ends listening and all connections and waits for their goroutines. It must not be
// called from Receive. Later calls do nothing.
func (t *Transport) Close() error {
	t.mtx.Lock()
	if t.closed {
		t.mtx.Unlock()

		return nil
	}
	t.closed = true
	close(t.done)
	peers := t.peers
	t.peers = nil
	t.mtx.Unlock()

	t.network.forget(t)
	for p := range peers {
		p.pipe.close(compat.ErrTransportClosed)
	}
	t.wg.Wait()

	return nil
}

func (t *Transport) isClosed() bool {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	return t.closed
}

func (t *Transport) track(p *peerConn) error {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	if t.closed {
		return compat.ErrTransportClosed
	}
	t.peers[p] = struct{}{}

	return nil
}

// deliver runs a peer's delivery goroutine.
func (t *Transport) deliver(p *peerConn) error {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	if t.closed {
		return compat.ErrTransportClosed
	}
	t.wg.Go(p.run)

	return nil
}

// remoteReason returns the reason that the other side gets.
func remoteReason(err error) error {
	var reject *compat.RejectError
	if errors.As(err, &reject) {
		return &compat.RejectError{Code: reject.Code, Reason: reject.Reason, Remote: true}
	}

	return fmt.Errorf("the peer ended the connection: %w", err)
}

// tcpAddr converts an address to a net.TCPAddr.
func tcpAddr(addr *types.NetAddress) net.Addr {
	return &net.TCPAddr{IP: addr.IP, Port: int(addr.Port)}
}
