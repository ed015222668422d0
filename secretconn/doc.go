// Package secretconn implements the secret connection (STS) of TM2: an
// authenticated, encrypted net.Conn that is byte-compatible with nodes of all
// dialects, from those of 2024 to the v1.x releases. docs/wire.md §3 describes the
// format.
//
// Call [MakeSecretConnection] with a net.Conn, on which a deadline is set, and the
// Ed25519 key of the node. Dialer and listener run the same handshake.
//
// # Handshake
//
// Both sides send an ephemeral X25519 key, derive one key per direction and a
// challenge from the shared secret, and prove their identity by an Ed25519
// signature over the challenge. The handshake is stricter than the original, as
// docs/wire.md §8 asks: it refuses an ephemeral key or an identity that is of low
// order or equal to our own, and frames without content. No honest peer sends any
// of these.
//
// # Dialects
//
// Nodes differ in the form of the auth message (docs/wire.md §1). A node reads only
// its own form, but sends its auth message without waiting for the peer's. So the
// handshake waits for the peer's auth message, verifies it, and answers in the same
// form, which [SecretConnection.Dialect] returns. When nothing arrives within
// [DialectPause], it speaks dialect C.
//
// Two such nodes would wait for each other. To avoid that, both mark the ephemeral
// key they send by its top bit, which X25519 ignores and no other node sets. A node
// that receives a marked key speaks dialect C at once. The mark has one other
// effect: the keys are ordered by the bytes sent, marks included.
//
// The pause limits the distance of one kind of peer: an older node that dials us
// over a path with a round trip above 1 s answers too late and gets [ErrDialect].
//
// # Frames
//
// The stream is cut into chunks of at most 1024 bytes. Each travels in a frame of
// 1044 bytes under ChaCha20-Poly1305 with a counter nonce. Frames are sealed and
// opened in bulk: a Write of up to 48 KiB is one system call, a Read takes up to 48
// frames from the socket, and neither allocates in the steady state. An idle
// connection has a read buffer of four frames and no write buffer.
//
// # Deadlines
//
// A connection can be used after a deadline error: the next Read or Write completes
// a frame that was received or sent in part. Any other error is final for its
// direction.
package secretconn
