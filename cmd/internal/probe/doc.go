// Package probe identifies the node at an address: which stacks it speaks, its ID
// and its NodeInfo. It authenticates the remote and closes the connection before it
// would become a peer, unless it is to ask for other nodes. Each probe uses new keys.
//
// A native node sends its ephemeral key at once (docs/wire.md §3.1), and a libp2p
// node its multistream header. A node that speaks both stacks waits for the first
// bytes of the dialer, for a while. So one that does not speak at once is asked over
// both.
package probe
