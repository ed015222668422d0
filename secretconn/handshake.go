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
// 1 MiB, but no valid message can be that long: with every prefix, key and
// length spread over ten varint bytes an ephemeral message has 62 bytes and an
// auth message 146. The second limit leaves room to recognise typed keys, whose
// type URL may be longer than usual.
const (
	maxEphemeralSize = 62
	maxAuthSize      = 1024
)

// MakeSecretConnection runs the handshake of docs/wire.md §3 on conn, in either
// role, and proves to own key. It speaks the dialect of the peer.
//
// It blocks until the peer has answered: the caller sets a deadline on conn, of
// 3 s as real nodes do, and clears it afterwards. conn must buffer what is
// written, as TCP does, because both sides write before they read, and allow one
// Read and one Write at the same time. On Linux the kernel is told to keep at most
// 64 KiB of unsent data of a TCP connection. Of conn at most a few frames are read
// ahead; they belong to the returned connection.
//
// When it fails, conn stays open and is of no further use; closing it is left to
// the caller. Errors: [ErrLowOrderPoint], [ErrEqualEphemeral], [ErrOwnKey],
// [ErrLowOrderIdentity], [ErrBadSignature], [ErrDialect], *[GreetingError], those of
// Read, decoding errors, and those of conn, all wrapped.
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
		return nil, errors.New("secretconn: no conn given")
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

// exchangeEphemeral sends our ephemeral key and returns that of the peer.
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

// clearReader reads the part of the stream that is not in frames.
type clearReader struct {
	in *frameReader
}

func (c clearReader) Read(p []byte) (int, error) {
	return c.in.readClear(p)
}
