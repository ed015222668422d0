package legacy

import "slices"

// The supported versions of gno. They differ in how they treat a peer (docs/wire.md §1 and
// §4.5). V1_1_0 is the last version that skips unknown fields, and keeps several connections
// to one peer. V1_4_0 keeps the first connection. V1_7_1 keeps the one dialed by the node
// with the smaller ID.
const (
	V1_7_1 = "v1.7.1"
	V1_4_0 = "v1.4.0"
	V1_1_0 = "v1.1.0"
)

// Further releases that BuildVersions builds. V1_5_1 is the first one that keeps the connection
// dialed by the node with the smaller ID, V1_2_0 the first one that refuses unknown fields.
const (
	V1_5_1 = "v1.5.1"
	V1_2_0 = "v1.2.0"
)

var versions = []string{V1_7_1, V1_4_0, V1_1_0}

// Versions returns all versions, newest first.
func Versions() []string { return slices.Clone(versions) }
