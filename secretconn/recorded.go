package secretconn

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
)

// MakeRecordedConnection is [MakeSecretConnection] with an ephemeral key made of seed, for a
// program that records the bytes of conn, to open them with [NewOpeners] later. Whoever has
// the seed can read the connection, so it is for nothing else. Its ephemeral key has no mark:
// another node that adapts its dialect answers after [DialectPause].
func MakeRecordedConnection(conn net.Conn, key ed25519.PrivateKey, seed [32]byte) (*SecretConnection, error) {
	own, err := newEphemeral(&seed)
	if err != nil {
		return nil, err
	}

	return makeSecretConnection(conn, key, own)
}

// Opener opens the frames of one direction of a recorded connection, one after the other.
type Opener struct{ in direction }

// NewOpeners returns the openers of what the side with the ephemeral seed has sent and
// received, and the challenge that both sides sign. The public keys are those that were sent.
// Errors: [ErrLowOrderPoint], [ErrEqualEphemeral], or that own is not the key of the seed.
func NewOpeners(seed, own, remote [32]byte) (sent, received *Opener, challenge [32]byte, err error) {
	e, err := newEphemeral(&seed)
	if err != nil {
		return nil, nil, challenge, err
	}
	if unmarked(own) != e.pub {
		return nil, nil, challenge, errors.New("secretconn: the ephemeral public key does not belong to the private one")
	}
	e.pub = own
	keys, err := e.agree(remote)
	if err != nil {
		return nil, nil, challenge, err
	}
	defer keys.wipe()
	out, err := newDirection(&keys.send)
	if err != nil {
		return nil, nil, challenge, err
	}
	in, err := newDirection(&keys.recv)
	if err != nil {
		return nil, nil, challenge, err
	}

	return &Opener{out}, &Opener{in}, keys.challenge, nil
}

// SealedFrameSize is the size of a frame on the wire, in bytes (docs/wire.md §3.3).
const SealedFrameSize = sealedFrameSize

// Open opens the next frame, which has SealedFrameSize bytes. It returns its 1028 bytes, that
// is the length, the chunk and the padding, and the chunk, which aliases them. It does not
// change sealed. Errors: [ErrFrameTag], [ErrFrameLength], [ErrFrameEmpty].
func (o *Opener) Open(sealed []byte) (opened, chunk []byte, err error) {
	if len(sealed) != sealedFrameSize {
		return nil, nil, fmt.Errorf("secretconn: frame of %d bytes, want %d", len(sealed), sealedFrameSize)
	}
	frame := append([]byte(nil), sealed...)
	if chunk, err = o.in.open(frame); err != nil {
		return nil, nil, err
	}

	return frame[:openedFrameSize], chunk, nil
}
