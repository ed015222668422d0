// Package compat is the contract between a TM2 node and its peer-to-peer
// layer: the interfaces Switch, Transport, PeerConn, PeerSet, PeerBehavior and
// Reactor under the names Tendermint2 gives them, so that a reactor written
// against TM2 compiles here after its import paths change.
//
// The package holds no stack. A stack (adapter/native, adapter/lp2p) implements
// Transport and PeerConn; adapter.MultiplexSwitch implements Switch on top of
// any Transport; a node implements Reactor.
//
// # Life of a peer
//
//	InitPeer on every reactor > Start > in the PeerSet > AddPeer on every reactor > PeerConnected
//	no longer running > RemovePeer on every reactor > out of the PeerSet > PeerDisconnected
//
//	InitPeer > does not start > RemovePeer on every reactor that has initialised it > PeerRejected
//
// Receive may come before AddPeer, and never begins after RemovePeer has.
// RemovePeer is called exactly once for each InitPeer that has returned, and a
// peer that comes back is initialised only after its former connection was
// removed.
//
// # Delivery
//
// Within one channel of one connection messages are reliable and in order: a
// message for which Send returned true is delivered exactly once, or the
// connection ends on both sides. Nothing is promised across channels. At most
// one Receive runs at a time for a peer.
package compat
