// Package sessioncases has the conformance cases for TM2 sessions over libp2p (docs/sessions.md):
// the handshake, data streams, and the end of a session, with a peer that keeps the rules and one
// that does not.
package sessioncases
