// Package dropin implements the p2p interfaces of a gno node (github.com/gnolang/gno,
// v1.7.1) with the switches and transports of this project. docs/dropin.md describes what
// to change in a node.
//
//   - [NewConfiguredSwitch] returns a gno p2p.Switch and service for gno's reactors and
//     config, over the stacks that the operator of the node chooses.
//   - [NewNativeSwitch], [NewLibp2pSwitch] and [NewDualSwitch] do it over one stack or both.
//     With [WithDHT], a node finds libp2p peers in a DHT.
//   - [NewSwitch] does the same on a transport that the caller makes.
//   - [Transport] lets gno's own MultiplexSwitch use a transport of this project.
//
// They consist of conversions between gno's package p2p and package compat, which are
// public. With them, code written for one package works with code written for the other.
//
// A function whose name begins with From converts from gno's type: [FromTransport] returns
// a compat.Transport for a transport of gno. The name without From is the other direction:
// [Reactor] returns a gno reactor for one of ours.
//
// # Identity
//
// Reactors compare peers by pointer and use them as map keys. So each PeerConn has exactly
// one counterpart: converting it again returns the same pointer, and converting the
// counterpart returns the PeerConn. A peer keeps its counterpart in its values
// (PeerConn.Set) under a key that begins with "tm2-libp2p/dropin/", so both are freed
// together. A PeerConn that wraps another has its own counterpart. Nil converts to the nil
// interface.
//
// # Cost
//
// Messages are never copied. Send, TrySend, Broadcast and Receive do not allocate.
//
// # Errors
//
// The documented sentinel errors of one side are converted to those of the other. An error
// that wraps a sentinel matches both by errors.Is. Other errors pass unchanged.
package dropin
