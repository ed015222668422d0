package secretconn

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
)

// adaptiveMark is the top bit of a public key, in its last byte. A node that adapts
// its dialect sets the bit in the key it sends, so that another such node does not
// wait for its auth message. X25519 ignores the bit (RFC 7748 §5), so all nodes
// derive the same secret. Other nodes never set it, because X25519 public keys are
// below 2^255.
const adaptiveMark = 0x80

func isMarked(pub [keySize]byte) bool { return pub[keySize-1]&adaptiveMark != 0 }

// unmarked returns pub as a point, without the mark.
func unmarked(pub [keySize]byte) [keySize]byte {
	pub[keySize-1] &^= adaptiveMark

	return pub
}

// ephemeral is the key pair of one handshake.
type ephemeral struct {
	priv *ecdh.PrivateKey
	pub  [keySize]byte // as sent, with its mark
}

// newEphemeral returns an unmarked key pair. It makes the pair of seed, which it
// wipes, or of random bytes when seed is nil.
func newEphemeral(seed *[keySize]byte) (ephemeral, error) {
	if seed == nil {
		seed = new([keySize]byte)
		rand.Read(seed[:]) // never fails
	}
	defer clear(seed[:])

	priv, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		return ephemeral{}, fmt.Errorf("make ephemeral key: %w", err)
	}

	return ephemeral{priv: priv, pub: [keySize]byte(priv.PublicKey().Bytes())}, nil
}

func (e *ephemeral) mark() { e.pub[keySize-1] |= adaptiveMark }

// agree derives the keys of a connection from our key pair and the public key of the
// peer. It refuses our own key, marked or not, and the keys that sharedSecret
// refuses. Both sides order the public keys by the bytes sent, marks included.
func (e *ephemeral) agree(remote [keySize]byte) (sessionKeys, error) {
	if unmarked(remote) == unmarked(e.pub) {
		return sessionKeys{}, ErrEqualEphemeral
	}

	shared, err := sharedSecret(e.priv, remote)
	if err != nil {
		return sessionKeys{}, err
	}
	defer clear(shared)

	return deriveKeys(shared, bytes.Compare(e.pub[:], remote[:]) < 0)
}

// sharedSecret returns X25519(priv, remote). It refuses the keys of docs/wire.md
// §3.1, marked or not: all of them, and no others, give the all-zero secret.
func sharedSecret(priv *ecdh.PrivateKey, remote [keySize]byte) ([]byte, error) {
	pub, err := ecdh.X25519().NewPublicKey(remote[:])
	if err != nil {
		return nil, fmt.Errorf("ephemeral key of the peer: %w", err)
	}

	// For two X25519 keys, ECDH fails only when the secret is all zero.
	shared, err := priv.ECDH(pub)
	if err != nil {
		return nil, ErrLowOrderPoint
	}

	return shared, nil
}
