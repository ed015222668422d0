// Package types holds the data types of the TM2 peer-to-peer contract under TM2's names, so
// that code written against tm2/pkg/p2p/types ports by changing the import path.
//
// An [ID] names a peer. It is derived from the peer's Ed25519 key, which a [NodeKey] keeps on
// disk. A [NetAddress] says where a peer can be dialed, a [NodeInfo] what a node tells about
// itself in the handshake. docs/wire.md §4 describes the encodings.
//
// # Data from the network
//
// Decode an address that a remote sent with [ParseNetAddress] and a NodeInfo with
// [NodeInfo.UnmarshalBinary]; neither resolves a name. [NewNetAddressFromString] does, and is
// for the node's own configuration. Before you trust a NodeInfo, call [NodeInfo.Validate] and
// [NodeInfo.CompatibleWith], and compare [NodeInfo.ID] with the ID of the authenticated key.
// A NodeInfo has at most [MaxNodeInfoSize] bytes, an address string 1024.
//
// Methods that do not change their receiver may be called concurrently.
package types
