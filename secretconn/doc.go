// Package secretconn is the secret connection (STS) of TM2: an authenticated,
// encrypted net.Conn that is byte-compatible with nodes of all dialects, from
// those of 2024 to the v1.x releases. The format is described in docs/wire.md §3.
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
// without content. None of these comes from an honest peer.
//
// # Dialects
//
// Nodes differ in the form of the auth message (docs/wire.md §1) and cannot read
// each other's, but all of them send theirs without waiting. So the handshake
// holds back its own until the peer's has come and was verified, and answers in
// the same form; [SecretConnection.Dialect] tells which. When nothing comes for
// [DialectPause], it speaks dialect C.
//
// Two sides of which each waits for the other would always lose that time. To
// tell each other, both set the top bit of the ephemeral key they send, which
// X25519 ignores and no other node sets. Whoever sees the mark speaks dialect C
// at once. All else is as if the bit were clear, except that the order of the
// keys is that of the bytes sent.
//
// The pause has one limit: an older node that dials us over a path with a round
// trip above 300 ms is recognised too late, and gets [ErrDialect]. Nodes of
// dialect C, and nodes that we dial, are served at any distance.
//
// # Frames
//
// The stream is cut in chunks of at most 1024 bytes; each travels in a frame of
// 1044 bytes under ChaCha20-Poly1305 with a counter nonce. Frames are sealed
// and opened in bulk: a Write of up to 48 KiB is one system call, a Read takes
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
