package native

import (
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
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
	// These are the numbers of DefaultHandshakeLimits: a handshake holds a socket, a
	// goroutine and about 16 KiB, and an honest one is over in a few round trips.
	defaultHandshakes           = 256
	defaultHandshakesPerIP      = 64
	defaultHandshakesConfigured = 64
	// acceptBacklog is how many verified connections may wait for Accept.
	acceptBacklog = 16
)

// ErrInvalidLimits is wrapped by the errors of HandshakeLimits.Validate.
var ErrInvalidLimits = errors.New("invalid handshake limits")

// HandshakeLimits bounds the inbound handshakes under way. A place is taken when
// a connection is accepted, and free when the handshake fails or Accept returns
// the peer. Each of the two steps of a handshake ends by HandshakeTimeout.
//
// When all places are taken, a new connection evicts another one whose handshake is not
// over: of its own host if PerIP is reached, else of the most crowded network. Among
// equally crowded ones a silent one goes first, and then the oldest. IPv4 /16, /24 and
// single addresses count as networks, and IPv6 /32, /48 and /64. So any number of
// connections from a few networks keeps no other node out, whatever they send. If all that
// could give way are in less crowded networks than the new connection, that one is closed.
type HandshakeLimits struct {
	// Total is the limit for all remotes together.
	Total int
	// PerIP is the limit for one host: one IPv4 address, or one IPv6 /64 network, since one
	// host usually has all of it.
	PerIP int
	// Configured is how many further handshakes are kept for IPs of persistent and
	// unconditional peers, as far as the switch knows them (compat.ConnReservation). With
	// 0 they share the places of all others.
	Configured int
}

// DefaultHandshakeLimits returns 256 in total, 64 per IP, and 64 for configured peers.
func DefaultHandshakeLimits() HandshakeLimits {
	return HandshakeLimits{
		Total:      defaultHandshakes,
		PerIP:      defaultHandshakesPerIP,
		Configured: defaultHandshakesConfigured,
	}
}

// Validate reports a limit that is not positive, or a negative Configured. The error wraps
// ErrInvalidLimits.
func (l HandshakeLimits) Validate() error {
	switch {
	case l.Total <= 0:
		return fmt.Errorf("%w: Total %d is not positive", ErrInvalidLimits, l.Total)
	case l.PerIP <= 0:
		return fmt.Errorf("%w: PerIP %d is not positive", ErrInvalidLimits, l.PerIP)
	case l.Configured < 0:
		return fmt.Errorf("%w: Configured %d is negative", ErrInvalidLimits, l.Configured)
	default:
		return nil
	}
}

// Option changes a default of a transport while it is made.
type Option func(*MultiplexTransport)

func init() {
	leeway.Handshake = func(d time.Duration) any {
		return Option(func(mt *MultiplexTransport) { mt.timeout = d })
	}
}

// WithSockets replaces the system's TCP, unless s is nil. Host names are still looked up by
// the system.
func WithSockets(s compat.Sockets) Option {
	return func(mt *MultiplexTransport) {
		if s != nil {
			mt.sockets = s
		}
	}
}

// WithConnAdmission sets who is asked about inbound connections before their handshakes. If it
// is a compat.ConnReservation too, it says which of them have places of their own. It is for a
// relay: Accept asks its behavior instead.
func WithConnAdmission(a compat.ConnAdmission) Option {
	return func(mt *MultiplexTransport) { mt.guard.Ask(a) }
}

// WithHandshakeLimits replaces DefaultHandshakeLimits. Limits that are not valid
// are reported by Listen and Dial.
func WithHandshakeLimits(limits HandshakeLimits) Option {
	return func(mt *MultiplexTransport) { mt.limits = limits }
}
