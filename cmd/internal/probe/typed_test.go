package probe_test

import (
	"bytes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// typedNode plays the handshake of a node of dialect A or B, whose auth key is typed, up
// to its NodeInfo (docs/wire.md §3, §4).
type typedNode struct {
	t       *testing.T
	key     *types.NodeKey
	dialect compat.Dialect
}

func (n typedNode) answer(conn net.Conn) {
	if err := n.speak(conn); err != nil {
		n.t.Errorf("dialect %s: %v", n.dialect, err)
	}
}

func (n typedNode) speak(conn net.Conn) error {
	aead, challenge, err := n.agree(conn)
	if err != nil {
		return err
	}
	public := n.key.PrivKey.Public().(ed25519.PublicKey)
	auth := wire.AppendAuth(nil, wire.Auth{
		PublicKey: [32]byte(public),
		Signature: [64]byte(ed25519.Sign(n.key.PrivKey, challenge)),
		Form:      wire.AuthTyped,
	})
	info := nodeInfo(n.key.ID())
	body, err := info.MarshalBinary()
	if n.dialect == compat.DialectA {
		body, err = info.AppendDialectA(nil)
	}
	if err != nil {
		return err
	}
	for i, message := range [][]byte{auth, wire.AppendSized(nil, body)} {
		if err := writeFrame(conn, aead, uint64(i), message); err != nil {
			return err
		}
	}
	// Wait until the other side closes.
	_, err = io.Copy(io.Discard, conn)
	var closed net.Error
	if errors.As(err, &closed) {
		return nil
	}

	return err
}

// agree exchanges ephemeral keys and returns the sending cipher and the challenge.
func (n typedNode) agree(conn net.Conn) (cipher.AEAD, []byte, error) {
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	public := own.PublicKey().Bytes()
	if _, err := conn.Write(wire.AppendEphemeral(nil, [32]byte(public))); err != nil {
		return nil, nil, err
	}
	body, err := wire.ReadSized(conn, 64)
	if err != nil {
		return nil, nil, err
	}
	received, err := wire.DecodeEphemeral(body)
	if err != nil {
		return nil, nil, err
	}
	remote, err := ecdh.X25519().NewPublicKey(received[:])
	if err != nil {
		return nil, nil, err
	}
	shared, err := own.ECDH(remote)
	if err != nil {
		return nil, nil, err
	}
	keys, err := hkdf.Key(sha256.New, shared, nil, "TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN", 96)
	if err != nil {
		return nil, nil, err
	}
	send := keys[:32]
	if bytes.Compare(public, received[:]) < 0 {
		send = keys[32:64]
	}
	aead, err := chacha20poly1305.New(send)

	return aead, keys[64:], err
}

func writeFrame(conn net.Conn, aead cipher.AEAD, counter uint64, message []byte) error {
	frame := make([]byte, 4+1024)
	binary.LittleEndian.PutUint32(frame, uint32(len(message)))
	copy(frame[4:], message)
	nonce := make([]byte, aead.NonceSize())
	binary.LittleEndian.PutUint64(nonce[4:], counter)
	_, err := conn.Write(aead.Seal(nil, nonce, frame, nil))

	return err
}
