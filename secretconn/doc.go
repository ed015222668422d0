// Package secretconn is the secret connection (STS) of TM2: an authenticated,
// encrypted net.Conn that is byte-compatible with every node of dialect C, all
// v1.x releases among them. The format is described in docs/wire.md §3.
//
// It serves whoever speaks to real nodes over TCP: give [MakeSecretConnection] a
// connection, with a deadline on it, and the Ed25519 key of the node. Both
// roles do the same, dialer and listener alike.
//
// # Handshake
//
// Both sides send an ephemeral X25519 key, derive one key per direction and a
// challenge from the shared secret, and prove their identity by an Ed25519
// signature over the challenge. The handshake is stricter than the original,
// as docs/wire.md §8 asks: it refuses ephemeral keys of low order or equal to
// the own one, an identity equal to the own one or of low order, and frames
// without content. None of these comes from an honest peer. A peer of dialect A
// or B is recognised by its auth message and refused with [ErrDialect].
//
// # Frames
//
// The stream is cut in chunks of at most 1024 bytes; each travels in a frame of
// 1044 bytes under ChaCha20-Poly1305 with a counter nonce. Frames are sealed
// and opened in bulk: a Write of up to 64 KiB is one system call, a Read takes
// as many frames from the socket as it has, and neither allocates in the steady
// state. An idle connection keeps a read buffer of four frames and no write
// buffer.
//
// # Deadlines
//
// A deadline error leaves the connection usable. A frame of which some bytes
// have arrived or have been sent is completed by the next Read or Write. Any
// other error is final for its direction.
package secretconn
