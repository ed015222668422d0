// Package sniff tells from the first bytes of a connection which protocol the remote
// speaks, without taking these bytes from the next reader.
package sniff
