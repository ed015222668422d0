// Package protocol defines the protocol between a test and a peer process: one JSON object
// per line, commands on the process's stdin and events on its stdout.
package protocol
