package secretconn

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

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

	minEphemeralBody = 2 + keySize // field number, length and key
)

// MakeSecretConnection runs the handshake of docs/wire.md §3 on conn, in either
// role, and proves to the peer that it owns key. It speaks the dialect of the peer.
//
// It blocks until the peer has answered. The caller sets a deadline on conn, 3 s as
// in real nodes, and clears it afterwards. conn must buffer writes as TCP does,
// because both sides write before they read, and must allow one Read and one Write
// at the same time. On Linux, a TCP connection holds as much unsent data in the kernel
// as its path takes in 5 ms, from 8 to 64 KiB. The returned connection owns conn.
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

	drain, err := socket.NewDrain(conn)
	if err != nil {
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

	sc.remote, sc.dialect, sc.drain = auth.PublicKey[:], dialectOf(auth.Form), drain

	return sc, nil
}

// exchangeEphemeral sends our ephemeral key and returns the peer's.
func exchangeEphemeral(conn io.Writer, in *frameReader, own [keySize]byte) ([keySize]byte, error) {
	if _, err := conn.Write(wire.AppendEphemeral(nil, own)); err != nil {
		return [keySize]byte{}, fmt.Errorf("send ephemeral key: %w", err)
	}

	start := clearReader{in: in}
	body, err := wire.ReadSized(&start, maxEphemeralSize)
	var remote [keySize]byte
	if err == nil {
		remote, err = wire.DecodeEphemeral(body)
	}
	if err == nil {
		return remote, nil
	}
	var malformed *wire.DecodeError
	first := start.first()
	// Of a message that is cut off, the length shows whether it could have been a key.
	cutOff := errors.Is(err, io.ErrUnexpectedEOF) && len(first) > 0 && first[0] < minEphemeralBody
	if cutOff || errors.Is(err, wire.ErrTooLarge) || errors.As(err, &malformed) {
		err = &GreetingError{First: first, Err: err}
	}

	return [keySize]byte{}, fmt.Errorf("receive ephemeral key: %w", err)
}

// clearReader reads the unencrypted start of the stream.
type clearReader struct {
	in   *frameReader
	read []byte
}

func (c *clearReader) Read(p []byte) (int, error) {
	n, err := c.in.readClear(p)
	c.read = append(c.read, p[:n]...)

	return n, err
}

// first returns what has arrived, at most maxEphemeralSize bytes.
func (c *clearReader) first() []byte {
	arrived := slices.Concat(c.read, c.in.buf[c.in.r:c.in.w])

	return arrived[:min(len(arrived), maxEphemeralSize)]
}
