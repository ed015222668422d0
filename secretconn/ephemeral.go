package secretconn

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
)

// lowOrderPoints are the X25519 public keys that the original refuses by exact
// comparison (docs/wire.md §3.1). The same points with the top bit set are not
// among them; those are refused for their shared secret.
var lowOrderPoints = mustKeys(
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)

// newEphemeral returns the key pair of one handshake, made of seed, which it
// wipes, or of random bytes when seed is nil.
func newEphemeral(seed *[keySize]byte) (*ecdh.PrivateKey, error) {
	if seed == nil {
		seed = new([keySize]byte)
		rand.Read(seed[:]) // never fails
	}
	defer clear(seed[:])

	priv, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("make ephemeral key: %w", err)
	}

	return priv, nil
}

// sharedSecret returns X25519(priv, remote). It refuses the keys of docs/wire.md
// §3.1 and any other that gives the all-zero secret.
func sharedSecret(priv *ecdh.PrivateKey, remote [keySize]byte) ([]byte, error) {
	if slices.Contains(lowOrderPoints, remote) {
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
