package native

import (
	"errors"
	"fmt"
	"time"
)

// Constants of the protocol (docs/wire.md §3, §4).
const (
	// HandshakeTimeout bounds the secret connection, and again the exchange of
	// NodeInfo.
	HandshakeTimeout = 3 * time.Second
	// DialTimeout bounds the TCP connect.
	DialTimeout = 3 * time.Second
)

// Constants of this implementation.
const (
	// defaultHandshakes and defaultHandshakesPerIP are those of
	// DefaultHandshakeLimits: a handshake holds a socket, a goroutine and about
	// 16 KiB, and an honest one is over in a few round trips.
	defaultHandshakes      = 256
	defaultHandshakesPerIP = 64
	// acceptBacklog is how many verified connections may wait for Accept.
	acceptBacklog = 16
	// maxResolved is how many addresses of one host name are dialed.
	maxResolved = 16
	// maxAcceptDelay caps the pause after a failing accept call, as when the
	// process is out of file descriptors.
	maxAcceptDelay = time.Second
)

// ErrInvalidLimits is wrapped by the errors of HandshakeLimits.Validate.
var ErrInvalidLimits = errors.New("invalid handshake limits")

// HandshakeLimits bounds the inbound handshakes under way. A place is taken when
// a connection is accepted, and free when the handshake fails or Accept returns
// the peer. Each of the two steps of a handshake ends by HandshakeTimeout.
//
// When all places are taken, a new connection evicts the oldest one whose remote has
// not sent a byte: in its own group if PerIP is reached, else in the group with most
// places, which must be larger than its own. Nodes speak as soon as they are connected,
// so any number of idle connections keeps no node out. A remote that has sent a byte
// keeps its place; if there are only such, the new connection is closed.
type HandshakeLimits struct {
	// Total is the limit for all remotes together.
	Total int
	// PerIP is the limit for one IPv4 address or one IPv6 /64 network, the least
	// that one host gets.
	PerIP int
}

// DefaultHandshakeLimits returns 256 in total and 64 per IP.
func DefaultHandshakeLimits() HandshakeLimits {
	return HandshakeLimits{Total: defaultHandshakes, PerIP: defaultHandshakesPerIP}
}

// Validate reports a limit that is not positive. The error wraps
// ErrInvalidLimits.
func (l HandshakeLimits) Validate() error {
	switch {
	case l.Total <= 0:
		return fmt.Errorf("%w: Total %d is not positive", ErrInvalidLimits, l.Total)
	case l.PerIP <= 0:
		return fmt.Errorf("%w: PerIP %d is not positive", ErrInvalidLimits, l.PerIP)
	default:
		return nil
	}
}

// Option changes a default of a transport while it is made.
type Option func(*MultiplexTransport)

// WithHandshakeLimits replaces DefaultHandshakeLimits. Limits that are not valid
// are reported by Listen and Dial.
func WithHandshakeLimits(limits HandshakeLimits) Option {
	return func(mt *MultiplexTransport) { mt.places.limits = limits }
}
