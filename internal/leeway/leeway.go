// Package leeway lengthens timeouts and ages that a program cannot change, for tests in which something has
// to succeed however busy the machine is. Only the stacks and the switch, which set its variables, and
// tests import it.
package leeway

import "time"

var (
	// Handshake returns a native.Option that replaces native.HandshakeTimeout. Package native sets it
	// before any test runs.
	Handshake func(d time.Duration) any
	// Sniff returns an lp2p.Option that replaces lp2p.SniffTimeout. Package lp2p sets it before any
	// test runs.
	Sniff func(d time.Duration) any
	// GhostAge returns an adapter.SwitchOption that replaces the age at which the switch suspects a
	// connection of having lost its remote. Package adapter sets it before any test runs.
	GhostAge func(d time.Duration) any
)
