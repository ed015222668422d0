// Package conform judges a running TM2 node: it plays well-formed and malformed behaviour
// against it and compares what the node does with what docs/wire.md and docs/sessions.md say.
//
// A [Case] is one situation. [Run] plays cases against a [Target], bounded in connections and
// rate, and returns a [Report]. A deviation counts when it was seen twice, and only while the
// node accepts a well-formed peer: a node that accepts nobody would refuse all that is
// malformed, too. A [Known] file tells which deviations a released version is known for.
//
// The cases are in packages nativecases and sessioncases, one file a section.
package conform
