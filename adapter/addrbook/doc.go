// Package addrbook keeps the addresses of peers: who is where, how this node knows it,
// and how the last attempts ended.
package addrbook
