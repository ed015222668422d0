package control

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// ErrProtocol is wrapped by the error for a remote that violates docs/sessions.md.
var ErrProtocol = errors.New("session protocol violation")

// blamed is ErrProtocol for a violation that tells the switch of a remote at fault.
type blamed struct{}

func (blamed) Error() string   { return ErrProtocol.Error() }
func (blamed) Unwrap() []error { return []error{ErrProtocol, compat.ErrViolation} }

// Violation returns an error that wraps ErrProtocol and compat.ErrViolation, and a
// *compat.RejectError with the code and text for the remote.
func Violation(format string, args ...any) error {
	return fmt.Errorf("%w: %w", blamed{}, compat.Reject(compat.RejectInvalid, format, args...))
}

// TooSlow is Violation for what a slow network can cause too, so it does not wrap
// compat.ErrViolation.
func TooSlow(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrProtocol, compat.Reject(compat.RejectInvalid, format, args...))
}
