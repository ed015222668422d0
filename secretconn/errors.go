package secretconn

import "errors"

// Reasons for which [MakeSecretConnection] refuses a peer. It returns them
// wrapped; compare with errors.Is.
var (
	// ErrLowOrderPoint: the ephemeral key of the peer is a point of low order,
	// so the shared secret would not depend on our key (docs/wire.md §3.1).
	ErrLowOrderPoint = errors.New("secretconn: ephemeral key of low order")

	// ErrEqualEphemeral: the peer sent our own ephemeral key back, which leaves
	// the roles undecided (docs/wire.md §3.2).
	ErrEqualEphemeral = errors.New("secretconn: peer sent our own ephemeral key")

	// ErrOwnKey: the peer authenticated with our own identity, by an echo of our
	// auth message or because we reached ourselves (docs/wire.md §3.4).
	ErrOwnKey = errors.New("secretconn: peer has our own identity key")

	// ErrLowOrderIdentity: the identity key of the peer is a point of low order,
	// for which anyone can make signatures (docs/wire.md §3.4).
	ErrLowOrderIdentity = errors.New("secretconn: identity key of low order")

	// ErrBadSignature: the peer's signature over the challenge is wrong.
	ErrBadSignature = errors.New("secretconn: wrong signature over the challenge")

	// ErrDialect: the identity key of the peer has a type that dialects A, B and C
	// do not have, or the peer sent its auth message in dialect A or B after ours
	// was sent in dialect C (docs/wire.md §1.2).
	ErrDialect = errors.New("secretconn: peer speaks no dialect that this side can answer")
)

// Reasons for which Read and Write fail for good. The handshake returns them
// wrapped.
var (
	// ErrFrameTag: a frame was altered, replayed, reordered or sealed under
	// another key.
	ErrFrameTag = errors.New("secretconn: frame fails authentication")

	// ErrFrameLength: a frame announces a chunk of more than 1024 bytes.
	ErrFrameLength = errors.New("secretconn: frame with a chunk above 1024 bytes")

	// ErrFrameEmpty: a frame announces a chunk of no bytes. No node sends such
	// frames (docs/wire.md §3.3).
	ErrFrameEmpty = errors.New("secretconn: frame without content")

	// ErrNonceExhausted: 2^64-1 frames were sent in one direction. The counter
	// must not wrap (docs/wire.md §3.3).
	ErrNonceExhausted = errors.New("secretconn: nonces exhausted")
)

// GreetingError says that what the remote sent first is no ephemeral key, so that it
// does not speak this protocol. An ephemeral key that was cut off is no GreetingError.
type GreetingError struct {
	First []byte // what has arrived of it; at most 62 bytes
	Err   error  // what is wrong with it
}

// Error says what is wrong.
func (e *GreetingError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong: an error of decoding, or io.ErrUnexpectedEOF.
func (e *GreetingError) Unwrap() error { return e.Err }
