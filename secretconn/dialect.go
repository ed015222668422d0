package secretconn

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// DialectPause is how long the handshake waits for the auth message of a peer whose
// ephemeral key is not marked, before it speaks dialect C (docs/wire.md §1.2). It
// delays only handshakes with peers that wait too. It must be longer than a round
// trip, so that the auth message of an older node that dials us arrives in time. The
// whole handshake may take 3 s.
const DialectPause = 300 * time.Millisecond

// Dialect is the form of the auth messages of a connection (docs/wire.md §1.2).
type Dialect string

// The forms of an auth message.
const (
	DialectPlain Dialect = "plain" // a plain key: dialect C
	DialectTyped Dialect = "typed" // a typed key: dialect A or B, which differ in their NodeInfo
)

func dialectOf(form wire.AuthForm) Dialect {
	if form == wire.AuthTyped {
		return DialectTyped
	}

	return DialectPlain
}

// awaitAuth receives the auth message of a peer that may speak any dialect. If
// nothing arrives within DialectPause, the peer may be waiting for us: awaitAuth then
// sends our message in dialect C and sets sent.
func (x *authExchange) awaitAuth() (remote wire.Auth, sent bool, err error) {
	in := x.sc.in
	if in.r < in.w { // part of the message has arrived with the ephemeral message
		remote, err = x.receive()

		return remote, false, err
	}

	detector := &readDetector{Reader: in.conn}
	in.conn = detector

	defer func() { in.conn = detector.Reader }()

	var sendErr error

	done := make(chan struct{})
	pause := time.AfterFunc(DialectPause, func() {
		defer close(done)

		if !detector.any.Load() {
			sent, sendErr = true, x.send(wire.AuthPlain)
		}
	})

	remote, err = x.receive()
	if !pause.Stop() {
		<-done
	}

	if err == nil {
		err = sendErr
	}

	return remote, sent, err
}

// readDetector notes whether any byte has been read.
type readDetector struct {
	io.Reader

	any atomic.Bool
}

func (d *readDetector) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if n > 0 {
		d.any.Store(true)
	}

	return n, err
}

// answer sends our auth message in the form of the peer's. If it was sent already, in
// dialect C, answer checks that the peer speaks dialect C.
func (x *authExchange) answer(form wire.AuthForm, sent bool) error {
	if !sent {
		return x.send(form)
	}

	if form != wire.AuthPlain {
		return fmt.Errorf("receive identity: %w: the peer speaks dialect A or B, and our identity was already sent in dialect C", ErrDialect)
	}

	return nil
}
