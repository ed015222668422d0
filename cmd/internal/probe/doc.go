// Package probe finds out who answers at an address: a TM2 node that speaks the
// native protocol, one that speaks libp2p, one that speaks both, or somebody
// else. It authenticates the remote, asks for its NodeInfo, and leaves before it
// would become a peer. The keys it uses are made for one probe.
//
// A native node sends its ephemeral key at once (docs/wire.md §3.1) and a libp2p
// node its multistream header; a node that speaks both waits for the first bytes
// of the dialer.
package probe
