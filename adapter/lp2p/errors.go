package lp2p

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

var (
	// ErrNotLibp2p is wrapped by the errors of ProbeIdentity and Dial when the
	// remote does not negotiate libp2p with Noise.
	ErrNotLibp2p = errors.New("remote does not speak libp2p")
	// ErrNoSessions is wrapped by the error of Dial when the remote speaks libp2p but not
	// SessionProtocol.
	ErrNoSessions = errors.New("remote does not support " + string(SessionProtocol))
	// ErrUnsupported is wrapped by an error of a stream of OpenStream when the remote does not
	// serve its protocol.
	ErrUnsupported = stream.ErrUnsupported
	// ErrPendingGone is returned by the methods of a Pending that was already
	// completed or rejected, or whose handshake deadline has passed.
	ErrPendingGone = errors.New("pending session is gone")
	// ErrConnClosed is the reason of a session that CloseConn has ended.
	ErrConnClosed = errors.New("connection was closed by this node")

	errStopped = errors.New("session was stopped")
	errEOF     = errors.New("remote ended the session without a goodbye")
)

// GoodbyeError is the reason of a session that the remote has ended by a goodbye.
type GoodbyeError struct {
	Code compat.RejectCode // RejectUnspecified for a plain stop
	Text string            // at most 256 bytes of printable ASCII; may be empty
}

// Error says that the remote ended the session, and the reason if the remote gave one.
func (e *GoodbyeError) Error() string {
	switch {
	case e.Code == compat.RejectUnspecified && e.Text == "":
		return "remote ended the session"
	case e.Text == "":
		return "remote ended the session: " + e.Code.String()
	default:
		return fmt.Sprintf("remote ended the session: %s: %s", e.Code, e.Text)
	}
}

// Unwrap returns a *compat.RejectError when the remote gave a reason, so that a
// refusal looks the same whether it came before or after the handshake.
func (e *GoodbyeError) Unwrap() error {
	if e.Code == compat.RejectUnspecified {
		return nil
	}

	return &compat.RejectError{Code: e.Code, Reason: e.Text, Remote: true}
}

// controlError is the failure of a control stream. Its text is made where it is read, since
// most sessions end with one that nobody reads.
type controlError struct{ err error }

func (e *controlError) Error() string { return "control stream failed: " + e.err.Error() }

func (e *controlError) Unwrap() error { return e.err }

// refusalOf returns the refusal in err, and whether there is one. A closing transport
// refuses everything as closing.
func refusalOf(err error) (*compat.RejectError, bool) {
	if reject, ok := errors.AsType[*compat.RejectError](err); ok {
		return reject, true
	}

	return compat.Reject(compat.RejectClosing, ""), errors.Is(err, compat.ErrTransportClosed)
}

// goodbyeFor returns what the remote is told when err ends a session: the code and text of
// a refusal by this node, nothing of any other error.
func goodbyeFor(err error) *control.Goodbye {
	if reject, ok := refusalOf(err); ok && !reject.Remote {
		return &control.Goodbye{Code: reject.Code, Text: reject.Reason}
	}

	return new(control.Goodbye)
}
