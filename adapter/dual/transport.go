package dual

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/bothstacks"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

var (
	_ compat.ListeningTransport = (*Transport)(nil)
	_ compat.ChannelAnnouncer   = (*Transport)(nil)
)

// Transport serves native and libp2p peers at one address, under one node key. It
// implements compat.ListeningTransport for one switch. All methods may be called
// concurrently.
type Transport struct {
	logger *slog.Logger
	opts   options
	book   *addrbook.Book
	native *native.MultiplexTransport
	libp2p *lp2p.Transport
	parked parked

	both *bothstacks.Merged
}

// NewTransport returns a transport whose TM2 ID and libp2p identity are the node key's. It
// can dial at once, and is dialed after Listen. mConfig is that of native connections. A
// nil logger discards. An option that cannot be used is an error that wraps
// compat.ErrInvalidOption. The caller closes the transport.
func NewTransport(
	nodeInfo types.NodeInfo, nodeKey types.NodeKey, mConfig mconn.MConnConfig, logger *slog.Logger, opts ...Option,
) (*Transport, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	t := &Transport{logger: logger, opts: o}
	libp2pOpts := append(o.libp2p, lp2p.WithOpened(t.parked.take))
	if o.stack == StackDual {
		libp2pOpts = append(libp2pOpts, lp2p.WithOtherStack(func(ctx context.Context, conn net.Conn, settle func() bool) {
			t.native.Serve(ctx, conn, settle)
		}))
	}
	t.libp2p, err = lp2p.NewTransport(nodeInfo, nodeKey, logger.With("transport", "libp2p"), libp2pOpts...)
	if err != nil {
		return nil, err
	}
	// Its NodeInfo has no address if the node is private.
	t.native = native.NewMultiplexTransport(
		t.libp2p.NodeInfo(), nodeKey, mConfig, logger.With("transport", "native"), o.native...)
	t.libp2p.OnPlaced(t.native.MoveTo)
	t.book = t.libp2p.AddrBook()
	t.both = bothstacks.New(t.native, t.libp2p)

	return t, nil
}

// NetAddress implements compat.Transport. Before Listen it has no IP.
func (t *Transport) NetAddress() types.NetAddress { return t.libp2p.NetAddress() }

// Libp2p returns the libp2p stack, for discovery in a DHT. The transport closes it.
func (t *Transport) Libp2p() *lp2p.Transport { return t.libp2p }

// AddrBook returns the address book in which both stacks keep what they learn of peers.
func (t *Transport) AddrBook() *addrbook.Book { return t.book }

// AnnounceChannels implements compat.ChannelAnnouncer.
func (t *Transport) AnnounceChannels(channels []byte) (former []byte, err error) {
	return t.both.AnnounceChannels(channels)
}

// Remove implements compat.Transport.
func (*Transport) Remove(p compat.PeerConn) { bothstacks.Remove(p) }

// Accept implements compat.Transport. All calls use the same behavior.
func (t *Transport) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	return t.both.Accept(ctx, behavior)
}

// Listen begins to accept the peers that the Stack names, and returns. With lp2p.WithQUIC
// it serves libp2p also at the UDP port of the same number, unless only native peers are
// accepted. Either unspecified IP, 0.0.0.0 or ::, means all addresses of both families. Port
// 0 takes a free port, which NetAddress tells. A second call returns
// compat.ErrAlreadyListening.
func (t *Transport) Listen(addr types.NetAddress) error {
	if err := t.both.Enter(); err != nil {
		return err
	}
	defer t.both.Leave()
	if t.opts.stack == StackNative {
		if err := t.native.Listen(addr); err != nil {
			return err
		}

		return t.libp2p.ServeAt(t.native.NetAddress())
	}
	if err := t.libp2p.Listen(addr); err != nil {
		return err
	}

	return t.native.ServeAt(t.libp2p.NetAddress())
}

// Close stops listening, ends every connection of both stacks, and waits for all
// goroutines. It must not be called from a reactor's Receive. Later calls wait for the first
// one.
func (t *Transport) Close() error {
	// The native stack comes first: the listener of the other one waits for what it serves.
	return t.both.Close(func() error { return errors.Join(t.native.Close(), t.libp2p.Close()) })
}
