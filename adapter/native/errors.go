package native

import (
	"errors"
	"fmt"
)

// Errors that a caller may want to tell apart. They are wrapped in an error that
// names the remote.
var (
	// ErrWrongID: the remote owns another ID than the one that was dialed.
	ErrWrongID = errors.New("remote has another ID")
	// ErrSelf: the address, or who answered there, is this node.
	ErrSelf = errors.New("remote is this node")
)

// HandshakeError tells at which step a connection failed to become a peer.
type HandshakeError struct {
	Step   string // "dial", "secret connection", "node info"
	Remote string // ID@IP:port where the ID is known, else IP:port
	Err    error
}

// Error names the step, the remote and the cause.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("%s with %s: %v", e.Step, e.Remote, e.Err)
}

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }
