package secretconn

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

var _ net.Conn = (*SecretConnection)(nil)

// SecretConnection is an authenticated and encrypted net.Conn, made by
// [MakeSecretConnection]. All methods may be called concurrently; Reads wait for
// each other, and so do Writes.
type SecretConnection struct {
	conn    net.Conn
	remote  ed25519.PublicKey
	dialect Dialect

	readMu sync.Mutex
	in     *frameReader

	writeMu sync.Mutex
	out     frameWriter

	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error
}

// newSecretConnection takes over conn and in, which may have read ahead. The
// keys are copied.
func newSecretConnection(conn net.Conn, in *frameReader, keys *sessionKeys) (*SecretConnection, error) {
	recv, err := newDirection(&keys.recv)
	if err != nil {
		return nil, err
	}

	send, err := newDirection(&keys.send)
	if err != nil {
		return nil, err
	}

	in.in = recv

	return &SecretConnection{conn: conn, in: in, out: frameWriter{conn: conn, out: send}}, nil
}

// RemotePubKey returns the identity the peer has proved in the handshake. The
// caller owns the slice.
func (sc *SecretConnection) RemotePubKey() ed25519.PublicKey {
	return bytes.Clone(sc.remote)
}

// Dialect returns the form in which the peer has sent its key, and in which it
// was sent ours.
func (sc *SecretConnection) Dialect() Dialect { return sc.dialect }

// Read fills p with what has arrived, over several frames if p is large enough,
// and waits only when nothing has. Data that was received before a failure is
// read before the error is returned.
//
// Errors: io.EOF at the end of the stream, io.ErrUnexpectedEOF at its end inside
// a frame, [ErrFrameTag], [ErrFrameLength], [ErrFrameEmpty],
// [ErrNonceExhausted], net.ErrClosed after Close, else the error of the conn below.
// All are final except os.ErrDeadlineExceeded, after which Read goes on where it
// was. As in crypto/tls, a passed deadline does not hold back data that has
// already been taken from the conn below.
func (sc *SecretConnection) Read(p []byte) (int, error) {
	sc.readMu.Lock()
	defer sc.readMu.Unlock()

	if sc.closed.Load() {
		return 0, net.ErrClosed
	}

	return sc.in.Read(p)
}

// Write sends p in frames of up to 1024 bytes, up to 48 of them in one write to
// the conn below. It does not keep p. What one Write sends is not interleaved
// with that of another.
//
// It returns the number of bytes of p in frames that went out as a whole, and an
// error if these are not all. Every error is final except
// os.ErrDeadlineExceeded. After that one the number also counts the frame that
// was cut by the deadline, if any: its rest goes out first in the next Write,
// which may be an empty one. So going on with p[n:] is right in either case.
//
// Errors: [ErrNonceExhausted], net.ErrClosed after Close, io.ErrShortWrite, else
// the error of the conn below.
func (sc *SecretConnection) Write(p []byte) (int, error) {
	sc.writeMu.Lock()
	defer sc.writeMu.Unlock()

	if sc.closed.Load() {
		return 0, net.ErrClosed
	}

	return sc.out.Write(p)
}

// Close closes the conn below and with it unblocks Read and Write. Nothing is
// sent to the peer. Further calls do nothing and return the same.
func (sc *SecretConnection) Close() error {
	sc.closeOnce.Do(func() {
		sc.closed.Store(true)
		sc.closeErr = sc.conn.Close()
	})

	return sc.closeErr
}

// CloseWrite ends the stream towards the peer, which reads io.EOF after what was
// written, where the conn below can do that; else it returns
// errors.ErrUnsupported. It waits for a Write under way.
func (sc *SecretConnection) CloseWrite() error {
	sc.writeMu.Lock()
	defer sc.writeMu.Unlock()

	half, ok := sc.conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("secretconn: close write: %w", errors.ErrUnsupported)
	}

	return half.CloseWrite()
}

// LocalAddr returns the local address of the conn below.
func (sc *SecretConnection) LocalAddr() net.Addr { return sc.conn.LocalAddr() }

// RemoteAddr returns the remote address of the conn below.
func (sc *SecretConnection) RemoteAddr() net.Addr { return sc.conn.RemoteAddr() }

// SetDeadline sets both deadlines of the conn below. It works on pending calls.
func (sc *SecretConnection) SetDeadline(t time.Time) error { return sc.conn.SetDeadline(t) }

// SetReadDeadline sets the read deadline of the conn below.
func (sc *SecretConnection) SetReadDeadline(t time.Time) error { return sc.conn.SetReadDeadline(t) }

// SetWriteDeadline sets the write deadline of the conn below.
func (sc *SecretConnection) SetWriteDeadline(t time.Time) error { return sc.conn.SetWriteDeadline(t) }
