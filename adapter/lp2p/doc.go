// Package lp2p is the libp2p stack of the adapter: compat.Transport and
// compat.PeerConn over go-libp2p.
//
// A TM2 peer over libp2p is a session inside one libp2p connection: a control
// stream that carries the handshake and the goodbye, and for each channel and
// direction one long-lived stream of length-prefixed messages, opened when the
// first message is sent. docs/sessions.md specifies the protocol exactly enough
// to implement it in another language.
//
// The libp2p identity of a node is its TM2 node key, so a TM2 ID is computed from
// a peer ID ([TM2ID]). The way back needs a look-up: Dial uses what it has learned
// before and otherwise asks who answers at the address ([ProbeIdentity]). It never
// connects to anybody but the peer that was asked for.
//
// # Delivery
//
// A message for which Send returned true is delivered in order and exactly once,
// or the session ends on both sides: every failure of a stream ends the whole
// session, a receiver never reopens one, and FlushStop learns from the remote
// which messages its reactors have received. One Receive runs at a time.
//
// # Sessions and connections
//
// Several sessions may share one libp2p connection: two nodes that dial each
// other have two for a moment, and a bridge presents each legacy node in a
// session with a delegated identity ([Transport.DialAs]). Sessions fail alone. The
// connection is closed after its last session.
//
// # What it does not do yet
//
// The priorities of the channel descriptors are reported by Status but not
// honoured: channels share the connection in the order in which their writers
// produce data, and the multiplexer below buffers up to some megabytes. Transports
// other than TCP, and discovery through a DHT, are not part of this package's host.
package lp2p
