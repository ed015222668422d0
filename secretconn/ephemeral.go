package secretconn

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
)

// lowOrderPoints are the X25519 public keys that the original refuses by exact
// comparison (docs/wire.md §3.1). Here the same points with the top bit set are
// refused alike; the original refuses those for their shared secret.
var lowOrderPoints = mustKeys(
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)

// adaptiveMark is the top bit of a public key, in its last byte. A peer that
// adapts its dialect sets it in the key it sends, to tell others of its kind that
// they need not wait for it. X25519 ignores the bit (RFC 7748 §5), so nodes that
// know nothing of it agree on the same secret; and they never set it, because
// what X25519 puts out is below 2^255.
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
	pub  [keySize]byte // as it is sent
}

// newEphemeral returns an unmarked key pair, made of seed, which it wipes, or of
// random bytes when seed is nil.
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

// agree derives the keys of a connection with the owner of remote. It refuses
// our own key and what sharedSecret refuses, marked or not. The order of the keys
// is that of the bytes sent, marks included, which both sides see alike.
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
// §3.1, marked or not, and any other that gives the all-zero secret.
func sharedSecret(priv *ecdh.PrivateKey, remote [keySize]byte) ([]byte, error) {
	if slices.Contains(lowOrderPoints, unmarked(remote)) {
		return nil, ErrLowOrderPoint
	}

	pub, err := ecdh.X25519().NewPublicKey(remote[:])
	if err != nil {
		return nil, fmt.Errorf("ephemeral key of the peer: %w", err)
	}

	// The all-zero secret, found in constant time, is the only error of ECDH on
	// keys of the right curve.
	shared, err := priv.ECDH(pub)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLowOrderPoint, err)
	}

	return shared, nil
}

// mustKeys decodes constants of this package.
func mustKeys(hexKeys ...string) [][keySize]byte {
	keys := make([][keySize]byte, 0, len(hexKeys))

	for _, h := range hexKeys {
		b, err := hex.DecodeString(h)
		if err != nil || len(b) != keySize {
			panic("secretconn: malformed constant " + h)
		}

		keys = append(keys, [keySize]byte(b))
	}

	return keys
}
