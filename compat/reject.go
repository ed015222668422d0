package compat

import "fmt"

// RejectCode says why a peer was refused. The numbers are part of the libp2p
// session protocol (docs/sessions.md) and never change their meaning.
type RejectCode uint8

// The reasons for which a peer is refused.
const (
	RejectUnspecified  RejectCode = 0
	RejectFull         RejectCode = 1 // no slot left for a peer of this kind, or from its IP
	RejectIncompatible RejectCode = 2 // network, versions or channels do not fit
	RejectDuplicate    RejectCode = 3 // the same peer is connected already
	RejectBanned       RejectCode = 4 // the peer is not wanted here
	RejectSelf         RejectCode = 5 // the peer is this node
	RejectInvalid      RejectCode = 6 // the peer's handshake or NodeInfo is not valid
	RejectIdentity     RejectCode = 7 // the peer has another ID than the dialed one, or may not present the node that it names
	RejectUnavailable  RejectCode = 8 // nobody to serve the peer now, as a bridge without a counterpart
	RejectClosing      RejectCode = 9 // the node is shutting down
)

var rejectNames = [...]string{
	RejectUnspecified: "unspecified", RejectFull: "full", RejectIncompatible: "incompatible",
	RejectDuplicate: "duplicate", RejectBanned: "banned", RejectSelf: "self", RejectInvalid: "invalid",
	RejectIdentity: "identity", RejectUnavailable: "unavailable", RejectClosing: "closing",
}

// String returns the code's name, or its number where it has none.
func (c RejectCode) String() string {
	if int(c) < len(rejectNames) {
		return rejectNames[c]
	}

	return fmt.Sprintf("code %d", uint8(c))
}

// RejectError is the refusal of a peer, by this node or by the remote.
type RejectError struct {
	Code   RejectCode
	Reason string // for people; empty when the code says it all
	Remote bool   // the remote refused us
}

// Reject returns a refusal by this node.
func Reject(code RejectCode, format string, args ...any) *RejectError {
	return &RejectError{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// Error names who refused and why.
func (e *RejectError) Error() string {
	who := "rejected"
	if e.Remote {
		who = "rejected by the peer"
	}
	if e.Reason == "" {
		return fmt.Sprintf("%s: %s", who, e.Code)
	}

	return fmt.Sprintf("%s: %s: %s", who, e.Code, e.Reason)
}
