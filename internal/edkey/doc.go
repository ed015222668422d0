// Package edkey judges Ed25519 public keys.
package edkey
