package rawnative

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// ErrEnded says that the remote has ended the connection.
var ErrEnded = errors.New("the connection has ended")

// maxRaw is how much of what the remote sends waits to be read, in bytes.
const maxRaw = 4 << 20

// Peer is one connection. It is for one goroutine.
type Peer struct {
	conn net.Conn
	key  ed25519.PrivateKey
	eph  *ecdh.PrivateKey

	sendKey, recvKey []byte
	challenge        []byte
	sent, received   uint64 // frames
	raw, plain       bytes.Buffer
	arrived          int64 // bytes of the remote

	patience time.Duration
	failure  error
	release  func() bool

	partial   map[byte][]byte // of the message that the remote has not completed, by channel
	last      map[byte][]byte // the last complete message
	completed map[byte]int
}

// New takes a fresh connection. The context ends whatever is going on. Each wait for the remote
// takes patience at most.
func New(ctx context.Context, conn net.Conn, key ed25519.PrivateKey, patience time.Duration) (*Peer, error) {
	eph, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ephemeral key: %w", err)
	}
	p := &Peer{
		conn: conn, key: key, eph: eph, patience: patience,
		partial: make(map[byte][]byte), last: make(map[byte][]byte), completed: make(map[byte]int),
	}
	p.release = context.AfterFunc(ctx, func() { _ = conn.Close() }) // the reads and writes fail with it

	return p, nil
}

// Close ends the connection.
func (p *Peer) Close() {
	p.release()
	_ = p.conn.Close() // the verdict is known
}

// ID returns the peer's own TM2 ID.
func (p *Peer) ID() types.ID { return types.IDFromPublicKey(p.key.Public().(ed25519.PublicKey)) }

// Key returns the peer's own key.
func (p *Peer) Key() ed25519.PrivateKey { return p.key }

// Challenge returns what both sides sign.
func (p *Peer) Challenge() []byte { return p.challenge }

// SetPatience changes how long each wait for the remote takes at most.
func (p *Peer) SetPatience(d time.Duration) { p.patience = d }

// Failure returns the first failure: it wraps ErrEnded when the remote has ended the
// connection, os.ErrDeadlineExceeded when it was silent for too long, and else tells what the
// remote did wrong.
func (p *Peer) Failure() error { return p.failure }

// Ended reports whether the remote has ended the connection.
func (p *Peer) Ended() bool { return errors.Is(p.failure, ErrEnded) }

func (p *Peer) fail(err error) {
	if p.failure != nil || err == nil {
		return
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) && isEnd(err) {
		err = fmt.Errorf("%w: %w", ErrEnded, err)
	}
	p.failure = err
}

// isEnd reports whether an error of the connection means that the remote is gone. Whatever a
// socket reports beside a deadline does.
func isEnd(err error) bool {
	var op *net.OpError

	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}

// Send writes bytes as they are.
func (p *Peer) Send(b []byte) {
	if p.failure != nil {
		return
	}
	p.fail(p.conn.SetWriteDeadline(time.Now().Add(p.patience)))
	if p.failure == nil {
		_, err := p.conn.Write(b)
		p.fail(err)
	}
}

// Receive reads n bytes as they are. It returns zeros after a failure. What came of them before
// a silence is not lost.
func (p *Peer) Receive(n int) []byte {
	b := make([]byte, n)
	end := time.Now().Add(p.patience)
	for p.failure == nil && p.raw.Len() < n {
		p.fail(p.fill(end))
	}
	if p.failure == nil {
		copy(b, p.raw.Next(n))
	}

	return b
}

// fill reads what comes until the deadline into raw.
func (p *Peer) fill(deadline time.Time) error {
	if p.raw.Len() > maxRaw {
		return fmt.Errorf("the remote sends more than %d bytes that are not due", maxRaw)
	}
	if err := p.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	var b [16 << 10]byte
	n, err := p.conn.Read(b[:])
	p.arrived += int64(n)
	p.raw.Write(b[:n])

	return err
}

// HangUp ends the stream to the remote, which may still send.
func (p *Peer) HangUp() {
	half, ok := p.conn.(interface{ CloseWrite() error })
	if !ok {
		p.fail(fmt.Errorf("half-close: %w", errors.ErrUnsupported))

		return
	}
	if p.failure == nil {
		p.fail(half.CloseWrite())
	}
}

// Arrived is how many bytes the remote has sent, as far as they were waited for.
func (p *Peer) Arrived() int64 { return p.arrived }

// Drain waits until the remote ends the connection and drops what it sends.
func (p *Peer) Drain() {
	if p.failure != nil {
		return
	}
	p.fail(p.conn.SetReadDeadline(time.Now().Add(p.patience)))
	if p.failure != nil {
		return
	}
	n, err := io.Copy(io.Discard, p.conn)
	p.arrived += n
	if err == nil {
		err = io.EOF
	}
	p.fail(err)
}

// Drip sends bytes one at a time with a pause before each, until the remote ends the
// connection or limit has passed.
func (p *Peer) Drip(b []byte, pause, limit time.Duration) {
	end := time.Now().Add(limit)
	for len(b) > 0 && p.failure == nil && time.Now().Before(end) {
		p.Watch(pause)
		p.Send(b[:1])
		b = b[1:]
	}
}

// Watch waits until the pause is over or the connection ends. What the remote sends meanwhile is
// read later.
func (p *Peer) Watch(pause time.Duration) { p.AwaitArrived(math.MaxInt64, pause) }

// AwaitArrived is Watch until the remote has sent n bytes in all.
func (p *Peer) AwaitArrived(n int64, pause time.Duration) {
	end := time.Now().Add(pause)
	for p.failure == nil && p.arrived < n {
		err := p.fill(end)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		p.fail(err)
	}
}

// Become gives the peer another key, before it has used its own.
func (p *Peer) Become(key ed25519.PrivateKey) { p.key = key }

// LocalAddr is the peer's end of the connection.
func (p *Peer) LocalAddr() net.Addr { return p.conn.LocalAddr() }

// Fail is for a caller that has found the remote at fault. The first failure stays.
func (p *Peer) Fail(err error) { p.fail(err) }
