package native

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

// errOtherNodeInfo: the NodeInfo names another node than the one that authenticated.
var errOtherNodeInfo = errors.New("node info of another node")

// isViolation reports whether the remote broke the protocol. A frame that fails authentication
// is none: anybody on the path can cause it.
func isViolation(err error) bool {
	for _, violation := range [...]error{
		mconn.ErrUnknownChannel, mconn.ErrEmptyMessage, mconn.ErrMessageTooLarge, mconn.ErrRecvBudget,
		secretconn.ErrFrameLength, secretconn.ErrFrameEmpty, wire.ErrTooLarge,
	} {
		if errors.Is(err, violation) {
			return true
		}
	}
	_, undecodable := errors.AsType[*wire.DecodeError](err)

	return undecodable
}

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

// failedStep names the kind of a failed handshake for the summary in the log. Health checks
// are of one kind: those that connect and say nothing, and those that speak another
// protocol.
func failedStep(err error, silent bool) string {
	_, foreign := errors.AsType[*compat.ForeignError](err)
	handshake, failed := errors.AsType[*HandshakeError](err)
	switch {
	case errors.Is(err, errEvicted):
		return "no place"
	case foreign || silent:
		return "not a native node"
	case failed:
		return handshake.Step
	default:
		return "closed"
	}
}

// refusal names the kind of a refusal for the summary in the log.
func refusal(err error) string {
	if reject, ok := errors.AsType[*compat.RejectError](err); ok {
		return reject.Code.String()
	}

	return "refused"
}

// DialFailure implements what compat.ClassifyDial asks of errors: a node that has
// proved its ID and then fails the handshake has refused the peer, since the native
// protocol cannot say so.
func (e *HandshakeError) DialFailure() compat.DialFailure {
	if e.Step == stepNodeInfo {
		return compat.DialRefused
	}

	return compat.DialUnclear
}
