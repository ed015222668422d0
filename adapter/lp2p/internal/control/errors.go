package control

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// ErrProtocol is wrapped by the error for a remote that violates docs/sessions.md.
var ErrProtocol = errors.New("session protocol violation")

// Violation returns an error that wraps ErrProtocol, and a *compat.RejectError with the
// code and text for the remote.
func Violation(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrProtocol, compat.Reject(compat.RejectInvalid, format, args...))
}
