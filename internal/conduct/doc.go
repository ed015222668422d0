// Package conduct counts the misbehaviour of IDs and hosts, for a switch or a bridge that refuses
// those that misbehave too much for a time.
package conduct
