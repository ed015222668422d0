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

// WithPrometheus registers libp2p's metrics. Without it they are disabled.
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
// factory or a connection gater. Options that the transport sets itself are
// refused by libp2p or replace the transport's.
func WithLibp2pOptions(opts ...libp2p.Option) Option {
	return func(o *options) error {
		o.libp2p = append(o.libp2p, opts...)

		return nil
	}
}

func newOptions(opts []Option) (*options, error) {
	o := &options{limits: DefaultLimits(), timeouts: DefaultTimeouts()}
	for _, opt := range opts {
		if err := opt(o); err != nil {
			return nil, fmt.Errorf("invalid option: %w", err)
		}
	}

	return o, nil
}
