package dual

import (
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// Option changes a default of NewTransport.
type Option func(*options)

type options struct {
	err    error // what NewTransport returns
	stack  Stack
	dial   DialPolicy
	native []native.Option
	libp2p []lp2p.Option
	quiet  time.Duration // minQuiet but in tests

	sockets compat.Sockets
}

// WithStack replaces StackDual.
func WithStack(s Stack) Option {
	return func(o *options) {
		_, err := ParseStack(string(s))
		o.stack, o.err = s, errors.Join(o.err, err)
	}
}

// WithDial replaces DialAuto.
func WithDial(p DialPolicy) Option {
	return func(o *options) {
		_, err := ParseDialPolicy(string(p))
		o.dial, o.err = p, errors.Join(o.err, err)
	}
}

// WithNative adds options of the native stack. While libp2p peers are accepted too, its
// handshake limits and PROXY protocol have no effect: those of the libp2p stack hold for
// both.
func WithNative(opts ...native.Option) Option {
	return func(o *options) { o.native = append(o.native, opts...) }
}

// WithLibp2p adds options of the libp2p stack, such as QUIC or the address book, which
// both stacks share.
func WithLibp2p(opts ...lp2p.Option) Option {
	return func(o *options) { o.libp2p = append(o.libp2p, opts...) }
}

// WithSockets replaces the system's TCP for both stacks, unless s is nil. Host names are still
// looked up by the system.
func WithSockets(s compat.Sockets) Option {
	return func(o *options) {
		if s != nil {
			o.sockets = s
		}
		o.native = append(o.native, native.WithSockets(s))
		o.libp2p = append(o.libp2p, lp2p.WithSockets(s))
	}
}

func newOptions(opts []Option) (options, error) {
	o := options{stack: StackDual, dial: DialAuto, quiet: minQuiet, sockets: socket.System{}}
	for _, opt := range opts {
		opt(&o)
	}
	if o.err != nil {
		return o, fmt.Errorf("%w: %w", compat.ErrInvalidOption, o.err)
	}

	return o, nil
}
