package lp2p

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p"
	"github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// Option changes a default of NewTransport, which reports one that cannot be used by
// an error that wraps compat.ErrInvalidOption.
type Option func(*options)

type options struct {
	err        error // what NewTransport returns
	limits     Limits
	timeouts   Timeouts
	registerer prometheus.Registerer
	libp2p     []libp2p.Option
	budget     budget   // of one session
	quic       quicMode // what is listened to and dialed beside TCP
	nat        natOptions
	private    bool           // no address is told to anybody
	book       *addrbook.Book // nil: a new one in memory

	// See WithTCP; nil for the system's.
	tcp     libp2p.Option
	dialTCP DialFunc

	// For tests. Loopback addresses are exempt from limits per IP unless
	// loopbackCounts.
	loopbackCounts bool
}

// WithLimits replaces DefaultLimits.
func WithLimits(l Limits) Option {
	return func(o *options) {
		o.limits = l
		o.report(l.Validate())
	}
}

// WithTimeouts replaces DefaultTimeouts.
func WithTimeouts(t Timeouts) Option {
	return func(o *options) {
		o.timeouts = t
		o.report(t.Validate())
	}
}

// WithPrometheus registers the metrics of the transport (see Metrics in the package
// documentation) and libp2p's. Without it both are disabled. The transport's have
// the constant label node, with its TM2 ID, so that several transports may share a
// registerer; they are unregistered by Close. Libp2p's are those of the process and
// stay registered: counts are of all its hosts together, but the gauges of the
// resource manager, libp2p_rcmgr_connections and the like, of the host that set them
// last. NewTransport fails when a transport of the same ID uses the registerer.
func WithPrometheus(r prometheus.Registerer) Option {
	return func(o *options) {
		if o.registerer = r; r == nil {
			o.report(errors.New("registerer is nil"))
		}
	}
}

// WithLibp2pOptions adds options to those of the transport's host, as an address
// factory. Options that the transport sets itself, as a connection gater, are
// refused by libp2p or replace the transport's.
func WithLibp2pOptions(opts ...libp2p.Option) Option {
	return func(o *options) { o.libp2p = append(o.libp2p, opts...) }
}

func (o *options) report(err error) { o.err = errors.Join(o.err, err) }

func newOptions(opts []Option) (*options, error) {
	o := &options{limits: DefaultLimits(), timeouts: DefaultTimeouts(), budget: anyChannels()}
	for _, opt := range opts {
		opt(o)
	}
	o.report(o.validateNAT())
	if o.err != nil {
		return nil, fmt.Errorf("%w: %w", compat.ErrInvalidOption, o.err)
	}
	o.limits = o.limits.filled()

	return o, nil
}

// quicMode says what QUIC is used for.
type quicMode uint8

const (
	quicOff quicMode = iota
	quicPreferred
	quicForced
)

// WithQUIC makes the node listen on UDP for QUIC, at the IP and port number of its
// TCP listener, and dial both: libp2p begins with QUIC and tries TCP 250 ms later,
// 30 ms in private networks and on loopback, unless it is connected by then, and
// keeps the first connection (swarm.DefaultDialRanker). That delay is all that a
// remote without QUIC costs. With several addresses of one host name it may be
// doubled. Where nobody answers at all, a dial takes its whole timeout, since UDP
// tells nothing.
//
// A node that is only known by its TM2 ID is still asked over TCP who it is.
//
// On a QUIC connection there is one window for all streams: sessions that share it,
// as those of a bridge, may slow each other down. At most 256 streams of each side
// fit into it, and so (256-32)/(1+channels) sessions; more are refused as full.
func WithQUIC() Option {
	return func(o *options) { o.quic = quicPreferred }
}

// WithQUICOnly is WithQUIC, but does not dial TCP, except to ask who answers at an
// address. It is for tests and measurements.
func WithQUICOnly() Option {
	return func(o *options) { o.quic = quicForced }
}

// WithPrivateNode makes the node announce no address: identify tells its peers
// none, so they have none to pass on, and discovery runs as a client that nobody
// keeps in a routing table. The NodeInfo names no IP and no port: 0.0.0.0:0 takes the
// place of those given to NewTransport; what a caller gives to DialAs or to a Pending
// is sent as it is. The node is still dialed by whoever knows where it is.
//
// It excludes WithAutoNAT, which asks others whether they reach the node at its
// addresses, and WithHolePunching, which tells them to whom it meets at a relay.
func WithPrivateNode() Option {
	return func(o *options) {
		o.private = true
		o.libp2p = append(o.libp2p,
			libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return nil }))
	}
}

// WithAddrBook gives the transport the node's address book: there it finds the key behind
// a TM2 ID, and where a peer is that is not at the address to dial, and notes what it
// finds out. Without it the transport has a book of its own, in memory.
func WithAddrBook(book *addrbook.Book) Option {
	return func(o *options) {
		if o.book = book; book == nil {
			o.report(errors.New("address book is nil"))
		}
	}
}

// DialFunc connects to an address of package net, like net.Dialer's DialContext.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// WithTCP puts another network in the place of the system's TCP, as a simulated one:
// transport is libp2p.Transport of a constructor of transports for TCP addresses, and
// dial connects to ask who answers at an address (see ProbeIdentity). Host names are
// still looked up by the system.
func WithTCP(transport libp2p.Option, dial DialFunc) Option {
	return func(o *options) {
		if o.tcp, o.dialTCP = transport, dial; transport == nil || dial == nil {
			o.report(errors.New("TCP needs a transport and a dialer"))
		}
	}
}
