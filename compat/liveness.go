package compat

import "time"

// LivenessProber is an optional power of a PeerConn that can make the remote show
// that it still uses the connection.
type LivenessProber interface {
	// ProbeAlive asks the remote for a sign of life at once and returns without
	// waiting. When none comes within the timeout, which must be positive, the
	// connection fails. It may be called before Start: then the timeout begins
	// with the connection. A call while the remote still owes an answer to an
	// earlier one, or after Stop, does nothing.
	ProbeAlive(timeout time.Duration)
}
