package native

import "time"

// WithHandshakeTimeout is for tests in which a handshake is to succeed however busy
// the machine is.
func WithHandshakeTimeout(d time.Duration) Option {
	return func(mt *MultiplexTransport) { mt.timeout = d }
}

// WithNameInterval sets how often the node's own host name is looked up.
func WithNameInterval(d time.Duration) Option {
	return func(mt *MultiplexTransport) { mt.interval = d }
}
