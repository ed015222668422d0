// Package protocol is what a test and a peer process say to each other: one JSON
// object a line, commands on the process's stdin and events on its stdout.
package protocol
