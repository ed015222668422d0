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
)

// Option changes a default of NewTransport.
type Option func(*options) error

type options struct {
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
	tcp     any
	dialTCP DialFunc

	// For tests. Loopback addresses are exempt from limits per IP unless
	// loopbackCounts.
	loopbackCounts bool
}

// WithLimits replaces DefaultLimits.
func WithLimits(l Limits) Option {
	return func(o *options) error {
		o.limits = l

		return l.Validate()
	}
}

// WithTimeouts replaces DefaultTimeouts.
func WithTimeouts(t Timeouts) Option {
	return func(o *options) error {
		o.timeouts = t

		return t.Validate()
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
	return func(o *options) error {
		if r == nil {
			return errors.New("registerer is nil")
		}
		o.registerer = r

		return nil
	}
}

// WithLibp2pOptions adds options to those of the transport's host, as an address
// factory. Options that the transport sets itself, as a connection gater, are
// refused by libp2p or replace the transport's.
func WithLibp2pOptions(opts ...libp2p.Option) Option {
	return func(o *options) error {
		o.libp2p = append(o.libp2p, opts...)

		return nil
	}
}

func newOptions(opts []Option) (*options, error) {
	o := &options{limits: DefaultLimits(), timeouts: DefaultTimeouts(), budget: anyChannels()}
	for _, opt := range opts {
		if err := opt(o); err != nil {
			return nil, fmt.Errorf("invalid option: %w", err)
		}
	}

	o.limits = o.limits.filled()
	if err := o.validateNAT(); err != nil {
		return nil, fmt.Errorf("invalid option: %w", err)
	}

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
	return func(o *options) error {
		o.quic = quicPreferred

		return nil
	}
}

// WithQUICOnly is WithQUIC, but does not dial TCP, except to ask who answers at an
// address. It is for tests and measurements.
func WithQUICOnly() Option {
	return func(o *options) error {
		o.quic = quicForced

		return nil
	}
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
	return func(o *options) error {
		o.private = true
		o.libp2p = append(o.libp2p,
			libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return nil }))

		return nil
	}
}

// WithAddrBook gives the transport the node's address book: there it finds the key behind
// a TM2 ID, and where a peer is that is not at the address to dial, and notes what it
// finds out. Without it the transport has a book of its own, in memory.
func WithAddrBook(book *addrbook.Book) Option {
	return func(o *options) error {
		if book == nil {
			return errors.New("address book is nil")
		}
		o.book = book

		return nil
	}
}

// DialFunc connects to an address of package net, like net.Dialer's DialContext.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// WithTCP puts another network in the place of the system's TCP, as a simulated one:
// newTransport is the constructor of a libp2p transport for TCP addresses, in the
// form in which libp2p.Transport takes it, and dial connects to ask who answers at
// an address (see ProbeIdentity). Host names are still looked up by the system.
func WithTCP(newTransport any, dial DialFunc) Option {
	return func(o *options) error {
		if newTransport == nil || dial == nil {
			return errors.New("TCP needs a transport and a dialer")
		}
		o.tcp, o.dialTCP = newTransport, dial

		return nil
	}
}
