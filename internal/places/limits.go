package places

import (
	"errors"
	"fmt"
)

// ErrInvalidLimits is wrapped by the errors of Limits.Validate.
var ErrInvalidLimits = errors.New("invalid limits of places")

// Limits bounds the places. All are numbers of connections.
type Limits struct {
	// Total is the limit for all hosts together, those of configured peers apart.
	Total int
	// PerHost is the limit for one host: one IPv4 address, or one IPv6 /64.
	PerHost int
	// Configured is how many further places there are for hosts of configured peers. With
	// 0 they share those of all others.
	Configured int
}

// Validate reports a limit that is negative, or zero other than Configured. The error
// wraps ErrInvalidLimits.
func (l Limits) Validate() error {
	switch {
	case l.Total <= 0:
		return fmt.Errorf("%w: Total %d is not positive", ErrInvalidLimits, l.Total)
	case l.PerHost <= 0:
		return fmt.Errorf("%w: PerHost %d is not positive", ErrInvalidLimits, l.PerHost)
	case l.Configured < 0:
		return fmt.Errorf("%w: Configured %d is negative", ErrInvalidLimits, l.Configured)
	default:
		return nil
	}
}
