package tunnel

import (
	"context"
	"errors"
	"log/slog"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/bothstacks"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// Transport gives one switch the peers of a libp2p transport and those that the node has through
// tunnels. It implements compat.ListeningTransport. All methods may be called concurrently.
type Transport struct {
	side    *lp2p.Transport
	native  *native.MultiplexTransport
	sockets *Sockets
	reach   map[types.ID]bool // nodes that are dialed through a tunnel
	both    *bothstacks.Merged
}

var (
	_ compat.ListeningTransport = (*Transport)(nil)
	_ compat.ChannelAnnouncer   = (*Transport)(nil)
)

// NewTransport returns a transport that owns side. It accepts native nodes through the bridges,
// and dials those in reach through them; each is dialed at the address that it is dialed with,
// which the bridge has to allow. Everybody else is dialed over libp2p. The key is that of side. A
// nil logger discards. The caller closes the transport.
func NewTransport(
	side *lp2p.Transport, nodeKey types.NodeKey, mConfig mconn.MConnConfig, bridges []types.NetAddress,
	reach []types.ID, logger *slog.Logger,
) *Transport {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	t := &Transport{side: side, reach: make(map[types.ID]bool)}
	for _, id := range reach {
		t.reach[id.Canonical()] = true
	}
	t.sockets = NewSockets(side, bridges, logger)
	t.native = native.NewMultiplexTransport(side.NodeInfo(), nodeKey, mConfig, logger, native.WithSockets(t.sockets))
	side.OnPlaced(t.native.MoveTo)
	t.both = bothstacks.New(t.native, t.side)

	return t
}

// NetAddress implements compat.Transport: it is that of the libp2p transport.
func (t *Transport) NetAddress() types.NetAddress { return t.side.NetAddress() }

// Libp2p returns the libp2p transport, which this one closes.
func (t *Transport) Libp2p() *lp2p.Transport { return t.side }

// Listen begins to accept libp2p peers at the address and native peers through the bridges. See
// lp2p.Transport.Listen.
func (t *Transport) Listen(addr types.NetAddress) error {
	if err := t.both.Enter(); err != nil {
		return err
	}
	defer t.both.Leave()
	if err := t.side.Listen(addr); err != nil {
		return err
	}

	return t.native.Listen(t.side.NetAddress())
}

// AnnounceChannels implements compat.ChannelAnnouncer.
func (t *Transport) AnnounceChannels(channels []byte) (former []byte, err error) {
	return t.both.AnnounceChannels(channels)
}

// Dial implements compat.Transport.
func (t *Transport) Dial(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	if t.reach[addr.ID.Canonical()] {
		return t.native.Dial(ctx, addr, behavior)
	}

	return t.side.Dial(ctx, addr, behavior)
}

// Remove implements compat.Transport.
func (*Transport) Remove(p compat.PeerConn) { bothstacks.Remove(p) }

// Accept implements compat.Transport. All calls use the same behavior.
func (t *Transport) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	return t.both.Accept(ctx, behavior)
}

// Close ends every connection and tunnel, closes the libp2p transport, and waits for all
// goroutines. It must not be called from a reactor's Receive. Later calls wait for the first one.
func (t *Transport) Close() error {
	return t.both.Close(func() error { return errors.Join(t.native.Close(), t.sockets.Close(), t.side.Close()) })
}
