// Package program is the part of a peer process that no release of gno has a
// say in: the command line, the commands on stdin, the events on stdout. The
// peer itself is a Node.
//
// A process ends when its stdin does. Its log goes to stderr.
package program
