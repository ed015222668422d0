// Package dropin converts between the peer-to-peer types of gno
// (github.com/gnolang/gno/tm2/pkg/p2p, v1.7.1) and those of package compat, so
// that a part written against one works with a part written against the other.
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
// Messages are passed on, never copied; Send, TrySend and Receive allocate
// nothing.
//
// # Errors
//
// The sentinels that one side documents become those of the other; the error
// still matches its own by errors.Is. Other errors pass unchanged.
package dropin
