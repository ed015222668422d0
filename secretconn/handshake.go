package secretconn

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Limits on handshake messages, in bytes with their prefix. The original allows
// 1 MiB, but with every prefix, key and length spread over ten varint bytes a valid
// ephemeral message has only 62 bytes and a plain auth message 146. maxAuthSize is
// larger because the type URL of a typed key has no fixed length.
const (
	maxEphemeralSize = 62
	maxAuthSize      = 1024
)

// MakeSecretConnection runs the handshake of docs/wire.md §3 on conn, in either
// role, and proves to the peer that it owns key. It speaks the dialect of the peer.
//
// It blocks until the peer has answered. The caller sets a deadline on conn, 3 s as
// in real nodes, and clears it afterwards. conn must buffer writes as TCP does,
// because both sides write before they read, and must allow one Read and one Write
// at the same time. On Linux, a TCP connection is set to hold at most 64 KiB of
// unsent data in the kernel. The returned connection owns conn.
//
// After an error, conn is open but unusable; the caller closes it. Errors:
// [ErrLowOrderPoint], [ErrEqualEphemeral], [ErrOwnKey], [ErrLowOrderIdentity],
// [ErrBadSignature], [ErrDialect], *[GreetingError], those of Read, decoding errors,
// and those of conn, all wrapped.
func MakeSecretConnection(conn net.Conn, key ed25519.PrivateKey) (*SecretConnection, error) {
	own, err := newEphemeral(nil)
	if err != nil {
		return nil, err
	}

	own.mark()

	return makeSecretConnection(conn, key, own)
}

func makeSecretConnection(conn net.Conn, key ed25519.PrivateKey, own ephemeral) (*SecretConnection, error) {
	if conn == nil {
		return nil, errors.New("secretconn: conn is nil")
	}

	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("secretconn: private key of %d bytes, want %d", len(key), ed25519.PrivateKeySize)
	}

	if err := socket.LimitUnsent(conn); err != nil {
		return nil, fmt.Errorf("secretconn: %w", err)
	}

	in := newFrameReader(conn)

	remote, err := exchangeEphemeral(conn, in, own.pub)
	if err != nil {
		return nil, err
	}

	keys, err := own.agree(remote)
	if err != nil {
		return nil, fmt.Errorf("receive ephemeral key: %w", err)
	}
	defer keys.wipe()

	sc, err := newSecretConnection(conn, in, &keys)
	if err != nil {
		return nil, err
	}

	auth, err := newAuthExchange(sc, key, keys.challenge).run(isMarked(remote))
	if err != nil {
		return nil, err
	}

	sc.remote, sc.dialect = auth.PublicKey[:], dialectOf(auth.Form)

	return sc, nil
}

// exchangeEphemeral sends our ephemeral key and returns the peer's.
func exchangeEphemeral(conn io.Writer, in *frameReader, own [keySize]byte) ([keySize]byte, error) {
	if _, err := conn.Write(wire.AppendEphemeral(nil, own)); err != nil {
		return [keySize]byte{}, fmt.Errorf("send ephemeral key: %w", err)
	}

	body, err := wire.ReadSized(clearReader{in}, maxEphemeralSize)
	var remote [keySize]byte
	if err == nil {
		remote, err = wire.DecodeEphemeral(body)
	}
	var malformed *wire.DecodeError
	if errors.Is(err, wire.ErrTooLarge) || errors.As(err, &malformed) {
		err = &GreetingError{First: bytes.Clone(in.buf[:min(in.w, maxEphemeralSize)]), Err: err}
	}
	if err != nil {
		return [keySize]byte{}, fmt.Errorf("receive ephemeral key: %w", err)
	}

	return remote, nil
}

// clearReader reads the unencrypted start of the stream.
type clearReader struct {
	in *frameReader
}

func (c clearReader) Read(p []byte) (int, error) {
	return c.in.readClear(p)
}
