// Package ownaddr finds out at which IPs other nodes can dial this one: those of a host
// name that its operator has configured, and those of its network interfaces.
package ownaddr
