package secretconn

import (
	"crypto/ed25519"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// lowOrderIdentities are the encodings (RFC 8032 §5.1.2) of the y coordinates of
// the eight points P of edwards25519 with 8P = O: y = 1 (order 1), y = -1 (order 2),
// y = 0 (order 4) and the two roots of d*y^4 + 2*y^2 - 1 = 0 (order 8). p+0 and p+1
// are included because decoders accept them as second encodings of 0 and 1. The top
// bit, the sign of x, is clear.
var lowOrderIdentities = mustKeys(
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)

func isLowOrderIdentity(key [keySize]byte) bool {
	key[keySize-1] &= 0x7f

	return slices.Contains(lowOrderIdentities, key)
}

// signAuth returns our auth message in plain form.
func signAuth(key ed25519.PrivateKey, challenge [challengeSize]byte) wire.Auth {
	return wire.Auth{
		PublicKey: [keySize]byte(key[ed25519.SeedSize:]),
		Signature: [ed25519.SignatureSize]byte(ed25519.Sign(key, challenge[:])),
	}
}

// checkAuth returns an error unless the peer proved its identity. own is our public
// key.
func checkAuth(a wire.Auth, own [keySize]byte, challenge [challengeSize]byte) error {
	if a.PublicKey == own {
		return ErrOwnKey
	}

	if isLowOrderIdentity(a.PublicKey) {
		return ErrLowOrderIdentity
	}

	if !ed25519.Verify(a.PublicKey[:], challenge[:], a.Signature[:]) {
		return ErrBadSignature
	}

	return nil
}
