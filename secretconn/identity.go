package secretconn

import (
	"crypto/ed25519"

	"github.com/tm2-libp2p/tm2-libp2p/internal/edkey"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

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

	if edkey.LowOrder(a.PublicKey[:]) {
		return ErrLowOrderIdentity
	}

	if !ed25519.Verify(a.PublicKey[:], challenge[:], a.Signature[:]) {
		return ErrBadSignature
	}

	return nil
}
