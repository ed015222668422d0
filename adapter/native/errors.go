package native

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// errOtherNodeInfo: the NodeInfo names another node than the one that authenticated.
var errOtherNodeInfo = errors.New("node info of another node")

// The steps of a connection. In the last one the remote has proved its ID.
const (
	stepDial             = "dial"
	stepSecretConnection = "secret connection"
	stepNodeInfo         = "node info"
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

// DialFailure implements what compat.ClassifyDial asks of errors: a node that has
// proved its ID and then fails the handshake has refused the peer, since the native
// protocol cannot say so.
func (e *HandshakeError) DialFailure() compat.DialFailure {
	if e.Step == stepNodeInfo {
		return compat.DialRefused
	}

	return compat.DialUnclear
}
