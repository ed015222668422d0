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

// sessionKeys is derived from the shared secret. Both sides sign the same challenge.
type sessionKeys struct {
	send, recv [keySize]byte // swapped on the other side
	challenge  [challengeSize]byte
}

// deriveKeys is the key schedule of docs/wire.md §3.2. least tells whether our
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

// wipe overwrites the keys. The ciphers keep copies as long as the connection
// exists.
func (k *sessionKeys) wipe() {
	*k = sessionKeys{}
}
