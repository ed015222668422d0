// Package native is the TM2 stack as every node in the field speaks it: TCP, the
// STS secret connection (package secretconn) and many channels over it (package
// mconn). MultiplexTransport implements compat.Transport.
//
// A connection becomes a peer in three steps, each bounded in time and in the
// number that may be under way at once (docs/wire.md §3 and §4):
//
//   - the secret connection proves the remote's key, within HandshakeTimeout;
//   - both sides send their NodeInfo, within another HandshakeTimeout;
//   - each side checks the other's NodeInfo and closes if it does not fit.
//
// Inbound connections take these steps concurrently, so a slow or silent remote
// delays no other. When all places of HandshakeLimits are taken, handshakes of the most
// crowded network give way to new ones, and configured peers have places of their own. A
// relay, which has to know the remote's NodeInfo before it shows one of its own, uses
// AcceptPending on a transport made by NewRelayTransport.
//
// WithProxyProtocol serves a node behind a load balancer: the client's address takes
// the place of the balancer's.
//
// # Dialects
//
// Nodes of all dialects are served in both roles (docs/wire.md §1). The secret
// connection finds out whether the remote's key is typed, and answers in kind. To
// a remote with a plain key NodeInfo is sent at once, in dialect C. One with a
// typed key may speak A or B, which only its NodeInfo shows: ours is held back
// until that has come. PeerConns report the dialect (compat.DialectReporter).
//
// What becomes of malformed input, case by case, is listed in docs/verdicts.md.
package native
