package secretconn

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Limits on handshake messages, in bytes with their prefix. The original allows
// 1 MiB, but no valid message can be that long: with every prefix, key and
// length spread over ten varint bytes an ephemeral message has 62 bytes and an
// auth message 146. The second limit leaves room to recognise typed keys, whose
// type URL may be longer than usual.
const (
	maxEphemeralSize = 62
	maxAuthSize      = 1024
)

// MakeSecretConnection runs the handshake of docs/wire.md §3 on conn, in either
// role, and proves to own key.
//
// It blocks until the peer has answered: the caller sets a deadline on conn, of
// 3 s as real nodes do, and clears it afterwards. conn must buffer what is
// written, as TCP does, because both sides write before they read. Of conn
// at most a few frames are read ahead; they belong to the returned connection.
//
// When it fails, conn stays open and is of no further use; closing it is left to
// the caller. Errors: [ErrLowOrderPoint], [ErrEqualEphemeral], [ErrOwnKey],
// [ErrLowOrderIdentity], [ErrBadSignature], [ErrDialect], those of Read, decoding
// errors, and those of conn, all wrapped.
func MakeSecretConnection(conn net.Conn, key ed25519.PrivateKey) (*SecretConnection, error) {
	return makeSecretConnection(conn, key, nil)
}

// makeSecretConnection makes the ephemeral key of seed, unless that is nil.
func makeSecretConnection(conn net.Conn, key ed25519.PrivateKey, seed *[keySize]byte) (*SecretConnection, error) {
	if conn == nil {
		return nil, errors.New("secretconn: no conn given")
	}

	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("secretconn: private key of %d bytes, want %d", len(key), ed25519.PrivateKeySize)
	}

	in := newFrameReader(conn)

	keys, err := exchangeEphemeral(conn, in, seed)
	if err != nil {
		return nil, err
	}
	defer keys.wipe()

	sc, err := newSecretConnection(conn, in, &keys)
	if err != nil {
		return nil, err
	}

	if sc.remote, err = exchangeAuth(sc, key, keys.challenge); err != nil {
		return nil, err
	}

	return sc, nil
}

// exchangeEphemeral sends a fresh ephemeral key, receives that of the peer and
// derives the keys.
func exchangeEphemeral(conn io.Writer, in *frameReader, seed *[keySize]byte) (sessionKeys, error) {
	priv, err := newEphemeral(seed)
	if err != nil {
		return sessionKeys{}, err
	}

	local := [keySize]byte(priv.PublicKey().Bytes())

	if _, err := conn.Write(wire.AppendEphemeral(nil, local)); err != nil {
		return sessionKeys{}, fmt.Errorf("send ephemeral key: %w", err)
	}

	body, err := wire.ReadSized(clearReader{in}, maxEphemeralSize)
	if err != nil {
		return sessionKeys{}, fmt.Errorf("receive ephemeral key: %w", err)
	}

	remote, err := wire.DecodeEphemeral(body)
	if err != nil {
		return sessionKeys{}, fmt.Errorf("receive ephemeral key: %w", err)
	}

	if remote == local {
		return sessionKeys{}, fmt.Errorf("receive ephemeral key: %w", ErrEqualEphemeral)
	}

	shared, err := sharedSecret(priv, remote)
	if err != nil {
		return sessionKeys{}, fmt.Errorf("receive ephemeral key: %w", err)
	}
	defer clear(shared)

	return deriveKeys(shared, bytes.Compare(local[:], remote[:]) < 0)
}

// exchangeAuth sends our auth message, in dialect C, and returns the identity
// that the peer has proved.
func exchangeAuth(sc *SecretConnection, key ed25519.PrivateKey, challenge [challengeSize]byte) (ed25519.PublicKey, error) {
	own := signAuth(key, challenge)

	if _, err := sc.Write(wire.AppendAuth(nil, own)); err != nil {
		return nil, fmt.Errorf("send identity: %w", err)
	}

	body, err := wire.ReadSized(sc, maxAuthSize)
	if err == io.EOF {
		return nil, fmt.Errorf("receive identity: peer hung up, as nodes of another dialect do: %w", err)
	}

	if err != nil {
		return nil, fmt.Errorf("receive identity: %w", err)
	}

	remote, err := wire.DecodeAuth(body)
	if err != nil {
		return nil, fmt.Errorf("receive identity: %w", err)
	}

	if err := checkAuth(remote, own.PublicKey, challenge); err != nil {
		return nil, fmt.Errorf("receive identity: %w", err)
	}

	return remote.PublicKey[:], nil
}

// clearReader reads the part of the stream that is not in frames.
type clearReader struct {
	in *frameReader
}

func (c clearReader) Read(p []byte) (int, error) {
	return c.in.readClear(p)
}
