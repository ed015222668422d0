package secretconn

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

const (
	keySize       = 32
	challengeSize = 32

	// hkdfInfo is fixed by the protocol.
	hkdfInfo = "TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN"
)

// sessionKeys is what both sides derive from the shared secret: a key for each
// direction, seen from one side, and the challenge both sides sign.
type sessionKeys struct {
	send, recv [keySize]byte
	challenge  [challengeSize]byte
}

// deriveKeys is the key schedule of docs/wire.md §3.2. least says that the own
// ephemeral public key is the smaller one.
func deriveKeys(shared []byte, least bool) (sessionKeys, error) {
	okm, err := hkdf.Key(sha256.New, shared, nil, hkdfInfo, 2*keySize+challengeSize)
	if err != nil {
		return sessionKeys{}, fmt.Errorf("derive keys: %w", err)
	}
	defer clear(okm)

	k := sessionKeys{
		recv:      [keySize]byte(okm[:keySize]),
		send:      [keySize]byte(okm[keySize : 2*keySize]),
		challenge: [challengeSize]byte(okm[2*keySize:]),
	}

	if !least {
		k.recv, k.send = k.send, k.recv
	}

	return k, nil
}

// wipe overwrites the keys. The ciphers keep copies of their own, which live as
// long as the connection.
func (k *sessionKeys) wipe() {
	*k = sessionKeys{}
}
