package lp2p

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/prometheus/client_golang/prometheus"
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
	private    bool // no address is told to anybody

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
