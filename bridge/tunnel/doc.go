// Package tunnel passes native connections through a bridge as they are: the native protocol of
// both nodes, with its handshake, runs inside one libp2p stream, so the nodes authenticate each
// other end to end, under the IDs that they have, and the bridge sees ciphertext.
//
//	native node --TCP--> bridge --stream /tm2/tunnel/in/1--> libp2p node
//	libp2p node --stream /tm2/tunnel/out/1--> bridge --TCP--> native node
//
// A bridge runs a [Server]. It listens at one port for each libp2p node that has a tunnel, so a
// native node dials ID-of-the-libp2p-node@bridge:port. In the other direction the libp2p node
// names the address of a native node, which must be one that the bridge's operator allows.
//
// A node that has libp2p connections only runs its native transport on [Sockets]
// (native.WithSockets). They keep a connection to the bridge, so the node need not be reachable.
// [Transport] gives one switch both: peers over libp2p and peers through tunnels.
//
// docs/bridge.md says when to prefer a tunnel to pairs.
package tunnel
