// Package transcript records what a native node sends and receives, with the keys that open
// it, and explains each byte of it (docs/wire.md).
//
// The file is that of the sessions in secretconn/testdata, whose tests replay it.
package transcript
