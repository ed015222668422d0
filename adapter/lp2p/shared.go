package lp2p

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
)

// SniffTimeout is how long a listener that two stacks share waits for the remote to speak
// first, as a libp2p dialer does. Then the other stack speaks. Two seconds are enough for a
// dialer that listens for a second before it speaks, or whose first packet is lost.
const SniffTimeout = 2 * time.Second

func init() {
	leeway.Sniff = func(d time.Duration) any { return Option(func(o *options) { o.sniff = d }) }
}

// ServeFunc owns a connection that a remote has opened and that is not libp2p's: the remote
// has begun with the native protocol, or has sent nothing within SniffTimeout or
// Timeouts.Handshake, whichever is shorter. What it has sent can still be read from the
// connection. The connection holds one of the places of those whose remotes have not proved
// an ID until ServeFunc returns, and the switch has been asked about it
// (compat.ConnAdmission). ServeFunc calls settle once the remote has proved its ID; settle
// returns false if the connection was closed meanwhile to make room. The context ends when
// the listener closes, which waits for ServeFunc. It may be called concurrently.
type ServeFunc func(ctx context.Context, conn net.Conn, settle func() bool)

// WithOtherStack makes the transport share its TCP listeners with another stack, whose
// connections it passes to serve. A nil function is an error of NewTransport.
func WithOtherStack(serve ServeFunc) Option {
	return func(o *options) {
		if o.serveOther = serve; serve == nil {
			o.report(errors.New("the function that serves the other stack is nil"))
		}
	}
}

// WithOpened sets a function that TCP dials, and probes of who answers at an address, call
// before they connect to IP:port. It returns an open connection to there over which this
// node has sent nothing yet, or nil to let the caller connect. The caller owns the
// connection. The function may be called concurrently. A nil function is an error of
// NewTransport.
func WithOpened(opened func(address string) net.Conn) Option {
	return func(o *options) {
		if o.openedConn = opened; opened == nil {
			o.report(errors.New("the function for opened connections is nil"))
		}
	}
}

// ServeAt takes the place of Listen in a node that accepts no libp2p peers. It opens no
// listener. It only records the address, at which another stack listens, as that of this
// node; the port must not be 0. It returns the errors of Listen that do not come from a
// socket.
func (t *Transport) ServeAt(addr types.NetAddress) error {
	return t.listenWith(addr, func() (uint16, error) { return addr.Port, nil })
}

// IsConnectedTo reports whether this node has a libp2p connection to the peer, also one
// without a session. It is false for a peer whose key the address book does not have.
func (t *Transport) IsConnectedTo(id types.ID) bool {
	p, ok := p2paddr.Known(t.book, id)

	return ok && t.host.Network().Connectedness(p) == network.Connected
}

// HasOtherWays reports whether Dial may reach the peer although its TCP port does not answer:
// by QUIC or at another address that it has announced, once its key is known, or through a
// relay.
func (t *Transport) HasOtherWays(addr types.NetAddress) bool {
	_, known := p2paddr.Known(t.book, addr.ID)

	return t.opts.nat.circuits || known && (t.opts.quic != quicOff || len(t.alternatives(addr)) > 0)
}

// isOthers reports whether the other stack has to serve a connection: first is what the
// remote has sent, and err why there is no more.
func (e *entrance) isOthers(first []byte, err error) bool {
	return e.serveOther != nil && (sniff.Protocol(first) == "native" ||
		len(first) == 0 && errors.Is(err, os.ErrDeadlineExceeded))
}

// sniffTimeout is how long the listener waits for the remote to show its protocol.
func (e *entrance) sniffTimeout() time.Duration {
	if e.serveOther != nil {
		return min(e.sniff, e.timeouts.Handshake)
	}

	return e.timeouts.Handshake
}

// opened returns a connection to IP:port that WithOpened offers, or nil.
func (o *options) opened(address string) net.Conn {
	if o.openedConn == nil {
		return nil
	}

	return o.openedConn(address)
}
