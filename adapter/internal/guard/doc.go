// Package guard asks the switch, or a bridge, about inbound connections before a transport
// spends a handshake on them.
package guard
