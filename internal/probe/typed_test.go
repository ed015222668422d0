package probe_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// answerTyped is a node of the dialects A and B up to its auth message
// (docs/wire.md §3), whose key is typed.
func answerTyped(conn net.Conn) {
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return
	}
	pub := own.PublicKey().Bytes()
	if _, err := conn.Write(wire.AppendEphemeral(nil, [32]byte(pub))); err != nil {
		return
	}
	body, err := wire.ReadSized(conn, 64)
	if err != nil {
		return
	}
	remotePub, err := wire.DecodeEphemeral(body)
	if err != nil {
		return
	}
	remote, err := ecdh.X25519().NewPublicKey(remotePub[:])
	if err != nil {
		return
	}
	shared, err := own.ECDH(remote)
	if err != nil {
		return
	}
	keys, err := hkdf.Key(sha256.New, shared, nil, "TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN", 96)
	if err != nil {
		return
	}
	send := keys[:32]
	if bytes.Compare(pub, remotePub[:]) < 0 {
		send = keys[32:64]
	}

	_, identity, err := ed25519.GenerateKey(nil)
	if err != nil {
		return
	}
	auth := wire.AppendAuth(nil, wire.Auth{
		PublicKey: [32]byte(identity[32:]),
		Signature: [64]byte(ed25519.Sign(identity, keys[64:])),
		Form:      wire.AuthTyped,
	})
	frame := make([]byte, 4+1024)
	binary.LittleEndian.PutUint32(frame, uint32(len(auth)))
	copy(frame[4:], auth)
	aead, err := chacha20poly1305.New(send)
	if err != nil {
		return
	}
	if _, err := conn.Write(aead.Seal(nil, make([]byte, aead.NonceSize()), frame, nil)); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, conn) // until the other side hangs up
}
