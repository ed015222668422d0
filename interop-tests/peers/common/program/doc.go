// Package program is the part of a peer process that does not depend on the release of gno:
// the command line, the commands on stdin and the events on stdout. A Node is the peer.
//
// A process ends when its stdin does. Its log goes to stderr.
package program
