package native

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Dial implements compat.Transport. The TCP connect is bounded by DialTimeout
// and each step of the handshake by HandshakeTimeout, or by ctx if that ends
// first. A failure is or wraps a *HandshakeError; compat.ClassifyDial tells what it
// means.
//
// A configured host name is resolved at each dial, also one that has not resolved
// before. Its addresses of both families are dialed in the resolver's order until one
// proves the ID: a connect that fails, another node, or a failed handshake leads to the
// next address. All of them together have the time of one dial, divided evenly among
// those that are left.
func (mt *MultiplexTransport) Dial(
	ctx context.Context,
	addr types.NetAddress,
	behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	if err := mt.checkDialed(addr); err != nil {
		return nil, &HandshakeError{Step: stepDial, Remote: addr.String(), Err: err}
	}
	if err := mt.begin(); err != nil {
		return nil, err
	}
	defer mt.wg.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(mt.ctx, cancel)()

	pending, err := mt.dialPending(ctx, addr)
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
	addrs, err := resolve(ctx, addr)
	if err != nil {
		return nil, &HandshakeError{Step: stepDial, Remote: addr.String(), Err: err}
	}

	var failed error
	for i, a := range addrs {
		pending, err := mt.dialAddress(ctx, a, len(addrs)-i)
		if err == nil {
			return pending, nil
		}
		failed = moreTelling(failed, err)
		var handshake *HandshakeError
		if ctx.Err() != nil || errors.As(err, &handshake) && handshake.Step == stepNodeInfo {
			break // the right node has answered
		}
	}

	return nil, failed
}

// resolve returns the addresses of a host name, or the address itself.
func resolve(ctx context.Context, addr types.NetAddress) ([]types.NetAddress, error) {
	if addr.Hostname == "" {
		return []types.NetAddress{addr}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip", addr.Hostname)
	if err != nil {
		return nil, err
	}
	addrs := make([]types.NetAddress, min(len(ips), maxResolved))
	for i := range addrs {
		addrs[i] = types.NetAddress{ID: addr.ID, IP: ips[i], Port: addr.Port}
	}

	return addrs, nil
}

// dialAddress makes a verified connection within an equal share of the context's time.
// left counts the addresses that have yet to be dialed, this one among them.
func (mt *MultiplexTransport) dialAddress(ctx context.Context, addr types.NetAddress, left int) (*Pending, error) {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
	defer cancel()
	dialCtx, cancelDial := context.WithTimeout(ctx, DialTimeout)
	defer cancelDial()
	conn, err := addr.DialContext(dialCtx)
	if err != nil {
		return nil, &HandshakeError{Step: stepDial, Remote: addr.String(), Err: err}
	}

	pending, err := mt.upgrade(ctx, conn, &addr)
	if err != nil {
		return nil, errors.Join(err, ignoreClosed(conn.Close()))
	}

	return pending, nil
}

// moreTelling joins the failures at two addresses of a host name. Only the one that
// tells more about the peer is wrapped, so that it alone is classified: its own answer
// first, then a transient failure, since the peer may still be there, and last that
// another node answers, or none.
func moreTelling(a, b error) error {
	if a == nil {
		return b
	}
	rank := func(err error) int {
		switch failure := compat.ClassifyDial(err); {
		case failure.Answered():
			return 3
		case failure == compat.DialUnreachable:
			return 0
		case failure == compat.DialWrongID, failure == compat.DialForeign, failure == compat.DialNotTM2:
			return 1
		default:
			return 2
		}
	}
	if rank(b) > rank(a) {
		a, b = b, a
	}

	return fmt.Errorf("%w; %v", a, b)
}
