// Package nativecases has the conformance cases for the native protocol of TM2 (docs/wire.md),
// one file a section. Each file is a table: the situation, the section of the page, the level,
// what is expected, and what the peer does.
package nativecases
