// Package dual serves both stacks of TM2 peers, native and libp2p, at one address and under
// one node key, so that a network migrates from the one to the other node by node and in any
// order (docs/migration.md).
//
// # Accepting
//
// A remote that speaks first shows its stack by the first bytes of its connection:
// `22 0a 20` begins the native handshake (docs/wire.md §3.1), and 0x13 followed by
// "/multistream" that of libp2p. The connection goes to that stack as if it had arrived
// there. A remote that waits for this node to speak is served by the native stack, which
// every native node accepts, after SniffTimeout. The libp2p stack owns the listener, so that
// all connections whose remotes have not proved their IDs share its places, and its PROXY
// protocol holds for both. WithStack limits what is accepted.
//
// # Dialing
//
// By default, Dial connects and listens for a moment: a node of one stack speaks as soon as
// it has accepted the connection, and the dial goes on with that stack on the same
// connection. A node that accepts both waits for the dialer, which then speaks libp2p. The
// wait is spared for a peer that last answered on libp2p, within a day. A peer that is not met at
// the TCP address is dialed in the ways that only libp2p has: QUIC, other addresses that it
// has announced, and relays. See DialPolicy for the other choices.
//
// # One peer
//
// The switch knows a peer by its ID, whichever stack it came by. Of two crossed connections,
// also on different stacks, both ends keep the one that the node with the lower ID has
// dialed. [compat.StackReporter] tells the stack of a peer.
package dual
