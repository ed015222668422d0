// Package dropin gives a node of gno (github.com/gnolang/gno, v1.7.1) the switches
// and transports of this project as gno's own types. docs/dropin.md tells what to
// change in a node.
//
//   - [NewNativeSwitch] and [NewLibp2pSwitch] return a gno p2p.Switch that is also a
//     service, for gno's reactors and config; [NewSwitch] does for a transport of the
//     caller's. With [WithDHT] a node on libp2p finds peers by a DHT.
//   - [Transport] is a transport of ours for gno's own MultiplexSwitch.
//
// They are made of conversions between gno's package p2p and package compat, which
// are public, so that a part written against one works with a part written against
// the other.
//
// A name that begins with From takes gno's and returns ours: [FromTransport]
// is gno's transport as a compat.Transport. The same name without From goes the
// other way: [Reactor] is our reactor as gno's.
//
// # Identity
//
// Reactors compare peers by pointer and use them as map keys. Therefore a
// PeerConn has one counterpart: converting it again gives the same pointer, and
// converting the counterpart gives the PeerConn itself. The counterpart is kept
// in the values of the peer (PeerConn.Set) under a key that begins with
// "tm2-libp2p/dropin/", so it lives as long as the peer does and no table must
// be cleaned. A PeerConn that a reactor wraps around another has a counterpart
// of its own. What is nil stays the nil interface.
//
// # Cost
//
// Messages are passed on, never copied; Send, TrySend, Broadcast and Receive
// allocate nothing.
//
// # Errors
//
// The sentinels that one side documents become those of the other; an error that
// wraps one matches both by errors.Is. Other errors pass unchanged.
package dropin
