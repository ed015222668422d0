package lp2p

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/proxied"
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
	quic       quicMode // whether UDP is listened to and dialed
	security   Security // proposed first over TCP
	nat        natOptions
	sendRate   int64 // of each session in bytes a second; 0 for no limit
	recvRate   int64
	private    bool           // no address is announced
	own        *ownAddrs      // announced beside those of the listeners
	book       *addrbook.Book // nil: a new one in memory
	proxies    proxied.Networks
	serveOther ServeFunc // nil: no other stack
	admission  compat.ConnAdmission
	openedConn func(address string) net.Conn
	logger     *slog.Logger

	sockets compat.Sockets   // nil: the system's
	now     func() time.Time // of delegations

	// For tests. Loopback addresses are exempt from limits per IP unless
	// loopbackCounts.
	loopbackCounts bool
	tcp            libp2p.Option // in place of newTCP
	nameInterval   time.Duration // between look-ups of the own host name; 0 for the default
	sniff          time.Duration // SniffTimeout but in tests

	sessions    *sessions // of the transport
	sessionless *sessionless
	udp         *udpEntrance
}

// WithConnAdmission sets who is asked about inbound connections before their handshakes: they
// are closed if it refuses them by RejectBanned. If it is a compat.ConnReservation or a
// compat.PeerExemption too, it says who has places of their own. It is for a relay, which uses
// AcceptPending: Accept asks its behavior instead.
func WithConnAdmission(a compat.ConnAdmission) Option {
	return func(o *options) { o.admission = a }
}

// WithClock replaces the system's clock, unless now is nil, in the delegations that the transport
// makes and checks (docs/sessions.md): for programs, such as tests, whose clock is another one.
func WithClock(now func() time.Time) Option {
	return func(o *options) {
		if now != nil {
			o.now = now
		}
	}
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
// documentation) and of libp2p. Without it both are disabled.
//
// The transport's metrics have the constant label node, with its TM2 ID, so that several
// transports can share a registerer; NewTransport fails for a second one of the same ID.
// Close unregisters them. Libp2p's metrics are those of the process and stay registered:
// counters sum up all its hosts, and gauges of the resource manager, such as
// libp2p_rcmgr_connections, are those of the host that set them last.
func WithPrometheus(r prometheus.Registerer) Option {
	return func(o *options) {
		if o.registerer = r; r == nil {
			o.report(errors.New("registerer is nil"))
		}
	}
}

// WithLibp2pOptions adds options for the transport's host, such as an address factory.
// Options that the transport sets itself, such as a connection gater, are refused by libp2p
// or replace the transport's.
func WithLibp2pOptions(opts ...libp2p.Option) Option {
	return func(o *options) { o.libp2p = append(o.libp2p, opts...) }
}

func (o *options) report(err error) { o.err = errors.Join(o.err, err) }

func newOptions(opts []Option) (*options, error) {
	o := &options{
		limits: DefaultLimits(), timeouts: DefaultTimeouts(), budget: anyChannels(), own: &ownAddrs{},
		security: SecurityNoise, logger: slog.New(slog.DiscardHandler), now: time.Now,
		sniff: SniffTimeout,
	}
	for _, opt := range opts {
		opt(o)
	}
	o.libp2p = append(o.libp2p, o.own.announce)
	o.report(o.validateNAT())
	if o.err != nil {
		return nil, fmt.Errorf("%w: %w", compat.ErrInvalidOption, o.err)
	}
	o.limits = o.limits.filled()
	o.sessions = newSessions(o.limits.SessionsPerPeer)
	o.sessionless, o.udp = newSessionless(), newUDPEntrance(o)

	return o, nil
}

// quicMode says what QUIC is used for.
type quicMode uint8

const (
	quicOff quicMode = iota
	quicPreferred
	quicForced
)

// WithQUIC makes the node listen for QUIC on UDP, at the IP and port number of its TCP
// listener, and dial both. Libp2p dials QUIC first, dials TCP 250 ms later (30 ms in
// private networks and on loopback), and keeps the first connection
// (swarm.DefaultDialRanker). So a remote without QUIC costs that delay. A dial to an address
// where nothing answers takes its whole timeout, since UDP reports no refusal.
//
// A node of which only the TM2 ID is known is still probed over TCP.
//
// All streams of a QUIC connection share one window, so that sessions on one connection,
// such as a bridge's, may slow each other down. Each side may have 256 streams on it. So
// there is room for (256-32)/(1+channels) sessions; more are refused as full.
func WithQUIC() Option {
	return func(o *options) { o.quic = quicPreferred }
}

// WithQUICOnly is WithQUIC, but dials TCP only for probes. It is for tests and
// measurements.
func WithQUICOnly() Option {
	return func(o *options) { o.quic = quicForced }
}

// WithPrivateNode makes the node announce no address. Identify tells its peers none, so
// that they have none to pass on, and discovery runs as a client, which is in no routing
// table. The NodeInfo has 0.0.0.0:0 in place of the address given to NewTransport; a
// NodeInfo given to DialAs or to a Pending is sent unchanged. Nodes that know the address
// still connect.
//
// It excludes WithAutoNAT and WithHolePunching, which tell addresses of the node to other
// nodes.
func WithPrivateNode() Option {
	return func(o *options) {
		o.private = true
		o.libp2p = append(o.libp2p,
			libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return nil }))
	}
}

// WithAddrBook gives the transport the node's address book. The transport looks up there
// the key behind a TM2 ID and other addresses of a peer that is not at the dialed one, and
// records what it learns. With WithRelayClient it calls AllowRelayed of the book. Without
// the option it has a book of its own, in memory.
func WithAddrBook(book *addrbook.Book) Option {
	return func(o *options) {
		if o.book = book; book == nil {
			o.report(errors.New("address book is nil"))
		}
	}
}

// WithProxyProtocol sets the networks of the proxies in front of the TCP listener. Each
// connection from there must begin with a header of the PROXY protocol, version 1 or 2,
// within Timeouts.Handshake, and then counts as one from the address that the header names;
// a header without one, as of a proxy's own health check, leaves the proxy's, whose
// connections the switch does not count. Any other connection is taken as it is: nobody else
// can name an address. IPv4 addresses are compared with IPv4 networks only. QUIC has no such
// header.
func WithProxyProtocol(networks ...netip.Prefix) Option {
	return func(o *options) {
		if o.proxies = networks; o.proxies.Validate() != nil {
			o.report(fmt.Errorf("WithProxyProtocol: %w", o.proxies.Validate()))
		}
	}
}

// WithSockets replaces the system's TCP under the transport's own listener and dialer, unless
// s is nil. Host names are still looked up by the system.
func WithSockets(s compat.Sockets) Option {
	return func(o *options) {
		if s != nil {
			o.sockets = s
		}
	}
}
