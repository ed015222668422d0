package legacy

import "slices"

// The versions of gno that peers can be made of. They stand for three ways to
// treat a peer (docs/wire.md §1 and §4.5): V1_1_0 is the last that skips unknown
// fields and keeps several connections to one peer, V1_4_0 keeps the first one,
// V1_7_1 the one that was dialed by the smaller ID.
const (
	V1_7_1 = "v1.7.1"
	V1_4_0 = "v1.4.0"
	V1_1_0 = "v1.1.0"
)

var versions = []string{V1_7_1, V1_4_0, V1_1_0}

// Versions returns all versions, the newest first.
func Versions() []string { return slices.Clone(versions) }
