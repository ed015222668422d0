// Package types holds the data types of the TM2 peer-to-peer contract: node ids,
// addresses, NodeInfo with its version set, and the node key. Names follow TM2;
// code written against tm2/pkg/p2p/types ports by changing the import path.
//
// An [ID] names a peer. It is derived from the peer's Ed25519 key, which a
// [NodeKey] keeps on disk. A [NetAddress] says where a peer can be dialed, a
// [NodeInfo] what a node tells about itself in the handshake. The encodings are
// described in docs/wire.md §4.
//
// # Data from the network
//
// Addresses that a remote sends go through [ParseNetAddress], which never
// resolves a name, and [NodeInfo.UnmarshalBinary], which does the same for the
// address in a NodeInfo. [NewNetAddressFromString] does resolve names and is
// for the node's own configuration. UnmarshalBinary only decodes: call
// [NodeInfo.Validate] and [NodeInfo.CompatibleWith] before believing a peer, and
// compare [NodeInfo.ID] with the id of the authenticated key.
//
// Lengths are bounded by [MaxNodeInfoSize] for a NodeInfo and by 1024 bytes for
// an address string.
//
// Values of this package are not safe for concurrent modification. Methods that
// do not change their receiver may be called concurrently.
package types
