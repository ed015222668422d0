package lp2p

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var (
	// ErrNotLibp2p is wrapped by the errors of ProbeIdentity and Dial when
	// something listens at the address that does not speak libp2p with Noise.
	ErrNotLibp2p = errors.New("remote does not speak libp2p")
	// ErrNoSessions is wrapped by the error of Dial when the remote speaks libp2p but
	// is no TM2 node.
	ErrNoSessions = errors.New("remote does not support " + string(SessionProtocol))
	// ErrPendingGone is returned by the methods of a Pending that was already
	// completed or rejected, or whose handshake deadline has passed.
	ErrPendingGone = errors.New("pending session is gone")
	// ErrConnClosed is the reason of a session that ended by CloseConn.
	ErrConnClosed = errors.New("connection was closed by this node")
	// ErrBusy is wrapped by the error of Dial when the remote has too many
	// handshakes under way.
	ErrBusy = errors.New("remote has too many handshakes under way")

	errStopped = errors.New("session was stopped")
	errEOF     = errors.New("remote ended the session without a goodbye")
)

// WrongIDError says that another node than the one asked for answers at an
// address.
type WrongIDError struct {
	Addr      string   // ip:port
	Asked     types.ID // who was to be dialed
	Found     types.ID // who answers; empty when its key is not Ed25519
	FoundPeer peer.ID  // the libp2p identity of who answers
}

// Error names both IDs.
func (e *WrongIDError) Error() string {
	found := e.Found.String()
	if found == "" {
		found = "the libp2p peer " + e.FoundPeer.String()
	}

	return fmt.Sprintf("wrong node at %s: asked for %s, found %s", e.Addr, e.Asked, found)
}

// GoodbyeError is the reason of a session that the remote has ended in order.
type GoodbyeError struct {
	Code compat.RejectCode // RejectUnspecified for a plain stop
	Text string            // for people, at most 256 bytes of printable ASCII; may be empty
}

// Error says that the remote ended the session, and why if it told.
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

// reasonOf returns what may be told to the remote about err: the code and text
// of a refusal by this node, nothing of any other error.
func reasonOf(err error) (compat.RejectCode, string) {
	var reject *compat.RejectError
	if !errors.As(err, &reject) || reject.Remote {
		return compat.RejectUnspecified, ""
	}

	return reject.Code, reject.Reason
}
