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

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

var _ net.Conn = (*SecretConnection)(nil)

// SecretConnection is an authenticated and encrypted net.Conn, made by
// [MakeSecretConnection]. All methods may be called concurrently. Concurrent Reads
// are serialized, and so are concurrent Writes.
type SecretConnection struct {
	conn    net.Conn
	remote  ed25519.PublicKey
	dialect Dialect
	drain   *socket.Drain

	readMu sync.Mutex
	in     *frameReader

	writeMu sync.Mutex
	out     frameWriter

	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error
}

// newSecretConnection returns a connection that owns conn and in, which may have
// read ahead. It copies the keys.
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

// RemotePubKey returns the public key that the peer proved to own. The caller owns
// the slice.
func (sc *SecretConnection) RemotePubKey() ed25519.PublicKey {
	return bytes.Clone(sc.remote)
}

// Dialect returns the form of the auth messages of both sides.
func (sc *SecretConnection) Dialect() Dialect { return sc.dialect }

// Read fills p with data that has arrived, which may come from several frames. It
// blocks only when there is none. Data that arrived before a failure is returned
// before the error.
//
// Errors: io.EOF at the end of the stream, io.ErrUnexpectedEOF when the stream ends
// inside a frame, [ErrFrameTag], [ErrFrameLength], [ErrFrameEmpty],
// [ErrNonceExhausted], net.ErrClosed after Close, else the error of the underlying
// conn. All are final except os.ErrDeadlineExceeded, after which Read can be called
// again. As in crypto/tls, Read returns data that is already buffered even when the
// deadline has passed.
func (sc *SecretConnection) Read(p []byte) (int, error) {
	sc.readMu.Lock()
	defer sc.readMu.Unlock()

	if sc.closed.Load() {
		return 0, net.ErrClosed
	}

	return sc.in.Read(p)
}

// BytesRead returns how many bytes were read from the underlying conn: those of the
// handshake, and a sealed frame of 1044 bytes for each one that Read has opened, however
// little it holds. It includes what has arrived and was not read yet.
func (sc *SecretConnection) BytesRead() int64 { return sc.in.read.Load() }

// Write sends p in frames of up to 1024 bytes, up to 48 of them in one write to the
// underlying conn. It does not keep p. The data of concurrent Writes is not
// interleaved.
//
// It returns the number of bytes of p in frames that were sent completely, and an
// error if it is less than len(p). Every error is final except
// os.ErrDeadlineExceeded. With that error, the number includes a frame that the
// deadline cut; the next Write, even an empty one, first sends the rest of it. So
// the caller goes on with p[n:] in either case.
//
// Errors: [ErrNonceExhausted], net.ErrClosed after Close, io.ErrShortWrite, else the
// error of the underlying conn.
func (sc *SecretConnection) Write(p []byte) (int, error) {
	sc.writeMu.Lock()
	defer sc.writeMu.Unlock()

	if sc.closed.Load() {
		return 0, net.ErrClosed
	}

	n, err := sc.out.Write(p)
	sc.drain.Follow(n)

	return n, err
}

// WriteSize returns how many bytes to pass to Write at a time, so that little data waits
// where nothing can overtake it: what the path takes in 2.5 ms, from 4 to 32 KiB. It is
// always 32 KiB if the underlying conn is not a TCP socket on Linux.
func (sc *SecretConnection) WriteSize() int { return sc.drain.Batch() }

// FrameSize returns how many bytes of data fit into a frame. A frame has 1044 bytes on the
// wire, however little it holds.
func (sc *SecretConnection) FrameSize() int { return maxChunkSize }

// Close closes the underlying conn, which unblocks Read and Write. It sends nothing
// to the peer. Further calls do nothing and return the same error.
func (sc *SecretConnection) Close() error {
	sc.closeOnce.Do(func() {
		sc.closed.Store(true)
		sc.closeErr = sc.conn.Close()
	})

	return sc.closeErr
}

// CloseWrite ends the stream towards the peer, which reads io.EOF after all data
// that was written. It waits for a running Write. It returns errors.ErrUnsupported,
// wrapped, when the underlying conn has no CloseWrite method.
func (sc *SecretConnection) CloseWrite() error {
	sc.writeMu.Lock()
	defer sc.writeMu.Unlock()

	half, ok := sc.conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("secretconn: close write: %w", errors.ErrUnsupported)
	}

	return half.CloseWrite()
}

// LocalAddr returns the local address of the underlying conn.
func (sc *SecretConnection) LocalAddr() net.Addr { return sc.conn.LocalAddr() }

// RemoteAddr returns the remote address of the underlying conn.
func (sc *SecretConnection) RemoteAddr() net.Addr { return sc.conn.RemoteAddr() }

// SetDeadline sets both deadlines of the underlying conn. It affects pending calls.
func (sc *SecretConnection) SetDeadline(t time.Time) error { return sc.conn.SetDeadline(t) }

// SetReadDeadline sets the read deadline of the underlying conn.
func (sc *SecretConnection) SetReadDeadline(t time.Time) error { return sc.conn.SetReadDeadline(t) }

// SetWriteDeadline sets the write deadline of the underlying conn.
func (sc *SecretConnection) SetWriteDeadline(t time.Time) error { return sc.conn.SetWriteDeadline(t) }
