package native

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

// Pending is a connection whose remote has proved its ID and sent a valid
// NodeInfo, and that is not a peer yet. The owner calls Complete or Reject, once.
type Pending struct {
	transport *MultiplexTransport
	conn      *secretconn.SecretConnection
	socket    *types.NetAddress
	node      types.NodeInfo
	dialect   compat.Dialect
	bridge    types.ID // whose tunnel the connection runs in, or empty
	outbound  bool
	shown     *types.NodeInfo // what a relay has sent already; nil: nothing
	promised  []byte          // the channels that the remote was told
	leave     func()          // gives the place among the handshakes back
}

// ID is the ID that the remote proved to own.
func (p *Pending) ID() types.ID { return p.socket.ID }

// NodeInfo is what the remote sent. Whether it fits is checked by Complete.
func (p *Pending) NodeInfo() types.NodeInfo { return p.node }

// Dialect is the one that the remote speaks. Complete answers in it.
func (p *Pending) Dialect() compat.Dialect { return p.dialect }

// RemoteAddr is the remote end of the TCP connection.
func (p *Pending) RemoteAddr() net.Addr { return p.conn.RemoteAddr() }

// Complete shows the remote the given NodeInfo and returns the peer, not yet
// started. The remote has given itself HandshakeTimeout to wait for it since it
// connected. On an error the connection is closed.
func (p *Pending) Complete(local types.NodeInfo, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	if err := p.answer(local); err != nil {
		p.close()

		return nil, &HandshakeError{Step: stepNodeInfo, Remote: p.socket.String(), Err: err}
	}

	return p.transport.newPeer(p, behavior)
}

func (p *Pending) answer(local types.NodeInfo) error {
	if have, want := local.ID(), p.transport.nodeKey.ID(); have != want {
		return fmt.Errorf("own node info has ID %s, the node key has %s", have, want)
	}
	if err := local.Validate(); err != nil {
		return fmt.Errorf("own node info is not valid: %w", err)
	}
	if err := local.CompatibleWith(p.node); err != nil {
		return err
	}
	if p.shown != nil {
		// The remote would send on channels that nobody serves.
		if unserved := slices.ContainsFunc(p.shown.Channels, func(ch byte) bool {
			return !slices.Contains(local.Channels, ch)
		}); unserved {
			return fmt.Errorf("%w with channels %x was sent already, this one has %x", errOtherNodeInfo, p.shown.Channels, local.Channels)
		}

		return p.conn.SetDeadline(time.Time{})
	}
	if err := p.conn.SetDeadline(time.Now().Add(p.transport.timeout)); err != nil {
		return err
	}
	if err := p.sendNodeInfo(local, p.dialect); err != nil {
		return err
	}
	p.transport.setNodeInfo(local)

	return p.conn.SetDeadline(time.Time{})
}

// Reject closes the connection; the native protocol has no way to say why, so
// the reason is logged.
func (p *Pending) Reject(reason error) {
	p.transport.inbound.Event(slog.LevelInfo, netgroup.FromIP(p.socket.IP), "inbound connection refused", refusal(reason),
		"peer", p.socket, "err", reason)
	p.close()
}

// connInfo describes the connection to the switch.
func (p *Pending) connInfo(behavior compat.PeerBehavior) compat.ConnInfo {
	return compat.ConnInfo{
		Outbound:   p.outbound,
		Persistent: behavior.IsPersistentPeer(p.ID()),
		Private:    behavior.IsPrivatePeer(p.ID()),
		Conn:       p.conn,
		RemoteIP:   p.socket.IP,
		SocketAddr: p.socket,
	}
}

func (p *Pending) close() { p.transport.closeConn(p.conn) }

// RelayTransport accepts native connections for a relay: it reads the remote's
// NodeInfo first and shows one of the relay's choice afterwards. It relies on
// the other side sending its NodeInfo without waiting, as all TM2 nodes do. If the other
// side waits too, the relay shows, after a pause of 1 to 1.5 s, the NodeInfo that it has
// shown last.
type RelayTransport struct{ mt *MultiplexTransport }

// NewRelayTransport returns a transport that authenticates with the node key.
func NewRelayTransport(
	nodeKey types.NodeKey,
	mConfig mconn.MConnConfig,
	logger *slog.Logger,
	opts ...Option,
) *RelayTransport {
	mt := NewMultiplexTransport(types.NodeInfo{}, nodeKey, mConfig, logger, opts...)
	mt.relay = true

	return &RelayTransport{mt: mt}
}

// Listen is MultiplexTransport.Listen.
func (rt *RelayTransport) Listen(addr types.NetAddress) error { return rt.mt.Listen(addr) }

// NetAddress is MultiplexTransport.NetAddress.
func (rt *RelayTransport) NetAddress() types.NetAddress { return rt.mt.NetAddress() }

// AcceptPending waits for a remote that has authenticated and sent a valid
// NodeInfo. It returns ctx.Err() when the context ends and
// compat.ErrTransportClosed after Close.
func (rt *RelayTransport) AcceptPending(ctx context.Context) (*Pending, error) {
	return rt.mt.acceptPending(ctx)
}

// Close is MultiplexTransport.Close.
func (rt *RelayTransport) Close() error { return rt.mt.Close() }
