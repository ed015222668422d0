package compat

// Dialect is a form of TM2's handshake (docs/wire.md §1). After the handshake all
// dialects are alike.
type Dialect string

// The dialects of the native protocol.
const (
	DialectA Dialect = "A" // early 2025: typed key, bare node ID
	DialectB Dialect = "B" // before 2025-07-23: typed key, ID@IP:port
	DialectC Dialect = "C" // since then, all v1.x releases: plain key, ID@IP:port
)

// DialectReporter is an optional power of a PeerConn whose stack has dialects.
type DialectReporter interface {
	// Dialect is the one that the remote speaks, and in which it was answered.
	Dialect() Dialect
}
