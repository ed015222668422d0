package native

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dialnames"
)

// Dial implements compat.Transport. The TCP connect is bounded by DialTimeout
// and each step of the handshake by HandshakeTimeout, or by ctx if that ends
// first. A failure is or wraps a *HandshakeError; compat.ClassifyDial tells what it
// means.
//
// A configured host name is resolved at each dial, also one that has not resolved
// before. Its addresses of both families are dialed in the resolver's order until one
// proves the ID: a connect that fails, another node, or a failed handshake leads to the
// next address. An IP that the behavior refuses (compat.DialAdmission) is passed over. All
// of them together have the time of one dial, divided evenly among those that are left.
func (mt *MultiplexTransport) Dial(
	ctx context.Context,
	addr types.NetAddress,
	behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	return mt.dial(ctx, addr, behavior, mt.dialPending)
}

// DialOn is Dial over a connection that is open to the IP and port of the address, and over
// which this node has sent nothing. It owns the connection, and closes it if it returns an
// error.
func (mt *MultiplexTransport) DialOn(
	ctx context.Context,
	conn net.Conn,
	addr types.NetAddress,
	behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	p, err := mt.dial(ctx, addr, behavior, func(ctx context.Context, addr types.NetAddress) (*Pending, error) {
		return mt.upgrade(ctx, conn, &addr)
	})
	if err != nil {
		return nil, errors.Join(err, ignoreClosed(conn.Close()))
	}

	return p, nil
}

// dial makes a peer of what connect returns.
func (mt *MultiplexTransport) dial(
	ctx context.Context,
	addr types.NetAddress,
	behavior compat.PeerBehavior,
	connect func(context.Context, types.NetAddress) (*Pending, error),
) (compat.PeerConn, error) {
	addr.ID = addr.ID.Canonical() // the form in which nodes are compared
	if err := mt.checkDialed(addr); err != nil {
		return nil, &HandshakeError{Step: stepDial, Remote: addr.String(), Err: err}
	}
	if err := mt.begin(); err != nil {
		return nil, err
	}
	defer mt.wg.Done()

	ctx, cancel := context.WithCancel(dialnames.WithAdmission(ctx, behavior))
	defer cancel()
	defer context.AfterFunc(mt.ctx, cancel)()

	pending, err := connect(ctx, addr)
	if err != nil {
		if mt.ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", compat.ErrTransportClosed, err)
		}

		return nil, err
	}

	return mt.newPeer(pending, behavior)
}

// checkDialed checks that the address says which other node to dial and where. A host
// name is resolved by the dial, so an IP beside it does not matter.
func (mt *MultiplexTransport) checkDialed(addr types.NetAddress) error {
	if addr.ID == mt.nodeKey.ID() {
		return compat.Reject(compat.RejectSelf, "address of this node")
	}
	if addr.Hostname != "" {
		return addr.ID.Validate()
	}

	return addr.Validate()
}

func (mt *MultiplexTransport) dialPending(ctx context.Context, addr types.NetAddress) (*Pending, error) {
	ctx, cancel := context.WithTimeout(ctx, DialTimeout+2*mt.timeout)
	defer cancel()
	addrs, err := dialnames.Resolve(ctx, addr)
	if err != nil {
		return nil, &HandshakeError{Step: stepDial, Remote: addr.String(), Err: err}
	}

	pending, err := dialnames.Each(ctx, addrs, mt.dialAddress)
	reject, refused := errors.AsType[*compat.RejectError](err)
	if _, isStep := errors.AsType[*HandshakeError](err); refused && !reject.Remote && !isStep { // the behavior refuses the IP
		err = &HandshakeError{Step: stepDial, Remote: addr.String(), Err: err}
	}

	return pending, err
}

// dialAddress makes a verified connection before the context ends.
func (mt *MultiplexTransport) dialAddress(ctx context.Context, addr types.NetAddress) (*Pending, error) {
	dialCtx, cancelDial := context.WithTimeout(ctx, DialTimeout)
	defer cancelDial()
	conn, err := mt.sockets.DialContext(dialCtx, "tcp", addr.DialString())
	if err != nil {
		return nil, &HandshakeError{Step: stepDial, Remote: addr.String(), Err: err}
	}

	pending, err := mt.upgrade(ctx, conn, &addr)
	if err != nil {
		return nil, errors.Join(err, ignoreClosed(conn.Close()))
	}

	return pending, nil
}
