package dual

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dialnames"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
)

const (
	// minQuiet and maxQuiet bound how long DialAuto waits for a remote of unknown stack to
	// speak, and quietTrips is the same in round trips. A native node speaks as soon as it
	// has accepted the connection.
	minQuiet   = 100 * time.Millisecond
	maxQuiet   = time.Second
	quietTrips = 3
	// briefQuiet is the least for a peer that answered on libp2p the last time, and the
	// round trip if that is longer: a node that is back on the native stack alone is found
	// without speaking to it in the wrong protocol.
	briefQuiet = 2 * time.Millisecond
)

// Dial implements compat.Transport by the DialPolicy. A failure is that of the stack on
// which the peer was dialed last.
func (t *Transport) Dial(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	switch {
	case t.opts.dial == DialNative:
		return t.dialNative(ctx, addr, behavior)
	case t.opts.dial == DialLibp2p:
		return t.libp2p.Dial(ctx, addr, behavior)
	}
	if t.libp2p.IsConnectedTo(addr.ID) {
		// The connection may be one that ends right now, since the node has another stack.
		p, err := t.libp2p.Dial(ctx, addr, behavior)
		if err == nil || compat.ClassifyDial(err).Answered() {
			return p, err
		}
	}
	if err := t.begin(); err != nil {
		return nil, err
	}
	defer t.tasks.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()

	p, err := dialnames.Dial(ctx, addr, func(ctx context.Context, addr types.NetAddress) (compat.PeerConn, error) {
		return t.dialEither(ctx, addr, behavior)
	})
	if err != nil && t.ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", compat.ErrTransportClosed, err)
	}

	return p, err
}

// dialEither dials the stack that the policy or the address book names, or that the remote
// shows.
func (t *Transport) dialEither(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	switch {
	case t.opts.dial == DialNativeFirst:
		return t.dialFirst(ctx, addr, behavior, types.StackNative, 0)
	case t.opts.dial == DialLibp2pFirst:
		return t.dialFirst(ctx, addr, behavior, types.StackLibp2p, 0)
	case t.book.LastStack(addr.ID) == types.StackLibp2p:
		return t.dialFirst(ctx, addr, behavior, types.StackLibp2p, briefQuiet)
	default:
		return t.dialFirst(ctx, addr, behavior, types.StackLibp2p, t.opts.quiet)
	}
}

// dialFirst connects to the address and goes on with the stack that the remote shows, or
// with the given one if it shows none within quiet. If the remote closes the connection
// without a word, it dials again, and listens longer.
func (t *Transport) dialFirst(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior, first types.Stack, quiet time.Duration,
) (compat.PeerConn, error) {
	conn, trip, err := t.connect(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("unable to dial %s: %w", addr.String(), err)
	}
	stack := first
	if quiet > 0 {
		if stack, err = listenFor(ctx, conn, first, t.patience(quiet, trip)); err != nil {
			return nil, errors.Join(fmt.Errorf("unable to dial %s: %w", addr.String(), err), conn.Close())
		}
	}
	if stack == types.StackNative {
		p, err := t.native.DialOn(ctx, conn, addr, behavior)
		switch {
		case speaks(err, "libp2p"):
			return t.libp2p.Dial(ctx, addr, behavior)
		case quiet < t.opts.quiet && showedNothing(conn, err):
			return t.dialFirst(ctx, addr, behavior, types.StackLibp2p, t.opts.quiet)
		default:
			return t.noted(p, addr, err)
		}
	}

	taken := t.parked.offer(addr.DialString(), conn)
	p, err := t.libp2p.Dial(ctx, addr, behavior)
	if !taken() {
		_ = conn.Close() // libp2p has found another way
	}
	switch {
	case err == nil:
		return p, nil
	case conn.Shown() == "native" || speaks(err, "native"):
		return t.dialNative(ctx, addr, behavior)
	case quiet < t.opts.quiet && showedNothing(conn, err):
		return t.dialFirst(ctx, addr, behavior, types.StackLibp2p, t.opts.quiet)
	default:
		return nil, err
	}
}

// showedNothing reports whether a dial has failed since the remote has closed the connection
// before it sent anything. A node of the other stack may do so when it is spoken to.
func showedNothing(conn *sniff.PeekedConn, err error) bool {
	return err != nil && conn.Shown() == "" && compat.ClassifyDial(err) == compat.DialUnclear
}

// connect connects to the address, and returns how long that took: about one round trip.
func (t *Transport) connect(ctx context.Context, addr types.NetAddress) (*sniff.PeekedConn, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, native.DialTimeout)
	defer cancel()
	begun := time.Now()
	conn, err := t.opts.sockets.DialContext(ctx, "tcp", addr.DialString())
	if err != nil {
		return nil, 0, err
	}

	return sniff.NewPeekedConn(conn), time.Since(begun), nil
}

// patience returns how long to listen over a connection with the round trip.
func (t *Transport) patience(quiet, trip time.Duration) time.Duration {
	if quiet < t.opts.quiet {
		return max(quiet, min(trip, maxQuiet))
	}

	return max(quiet, min(quietTrips*trip, maxQuiet))
}

// listenFor returns the stack that the remote shows, or the given one if it shows none. Its
// error says that the remote speaks neither, or closed the connection.
func listenFor(
	ctx context.Context, conn *sniff.PeekedConn, none types.Stack, quiet time.Duration,
) (types.Stack, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	first, err := conn.PeekWithin(ctx, quiet)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return none, conn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return "", err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return "", err
	}
	switch protocol := sniff.Protocol(first); protocol {
	case "native":
		return types.StackNative, nil
	case "libp2p":
		return types.StackLibp2p, nil
	default:
		return "", &compat.ForeignError{Answered: protocol, Err: fmt.Errorf("the answer begins with %q", first)}
	}
}

// speaks reports whether a failed dial has shown that the remote speaks the protocol.
func speaks(err error, protocol string) bool {
	var foreign *compat.ForeignError

	return errors.As(err, &foreign) && foreign.Answered == protocol
}

func (t *Transport) dialNative(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	p, err := t.native.Dial(ctx, addr, behavior)

	return t.noted(p, addr, err)
}

// noted notes in the address book that a native dial has reached the peer.
func (t *Transport) noted(p compat.PeerConn, addr types.NetAddress, err error) (compat.PeerConn, error) {
	if err == nil && addr.Hostname == "" {
		t.book.MarkAnswered(&addr, types.StackNative)
	}

	return p, err
}

// parked are connections to remotes that have yet to be spoken to, for the dialer of the
// libp2p stack. The zero value is empty.
type parked struct {
	mtx   sync.Mutex
	conns map[string][]net.Conn // by IP:port: remotes may tell many IDs at one
}

// offer makes a dial of the address return conn. The returned function takes the offer back,
// and reports whether it was used.
func (p *parked) offer(address string, conn net.Conn) (taken func() bool) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if p.conns == nil {
		p.conns = make(map[string][]net.Conn)
	}
	p.conns[address] = append(p.conns[address], conn)

	return func() bool {
		p.mtx.Lock()
		defer p.mtx.Unlock()

		return p.remove(address, slices.Index(p.conns[address], conn)) == nil
	}
}

// take returns a connection that is offered for IP:port, or nil.
func (p *parked) take(address string) net.Conn {
	p.mtx.Lock()
	defer p.mtx.Unlock()

	return p.remove(address, 0)
}

// remove returns one of the offers for the address, or nil. The caller holds the lock.
func (p *parked) remove(address string, i int) net.Conn {
	offers := p.conns[address]
	if i < 0 || i >= len(offers) {
		return nil
	}
	conn := offers[i]
	if offers = slices.Delete(offers, i, i+1); len(offers) > 0 {
		p.conns[address] = offers
	} else {
		delete(p.conns, address)
	}

	return conn
}
