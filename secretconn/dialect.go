package secretconn

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// DialectPause is how long the handshake waits for the auth message of a peer
// that does not say that it adapts too, before it speaks dialect C itself
// (docs/wire.md §1.2). It costs time only with a peer that waits likewise, and it
// has to be longer than a round trip for an older node that dials us to be
// recognised. A handshake has 3 s.
const DialectPause = 300 * time.Millisecond

// Dialect is the form of the auth messages of a connection, which is that of the
// peer (docs/wire.md §1.2).
type Dialect string

// The forms of an auth message.
const (
	DialectPlain Dialect = "plain" // a plain key: dialect C
	DialectTyped Dialect = "typed" // a typed key: dialect A or B, which NodeInfo tells apart
)

func dialectOf(form wire.AuthForm) Dialect {
	if form == wire.AuthTyped {
		return DialectTyped
	}

	return DialectPlain
}

// awaitAuth receives the auth message of a peer that may speak any dialect. If
// nothing comes for DialectPause, the peer may be waiting for us: then it speaks
// dialect C, and spoken is true.
func (x *authExchange) awaitAuth() (remote wire.Auth, spoken bool, err error) {
	in := x.sc.in
	if in.r < in.w { // the message has begun together with the ephemeral one
		remote, err = x.receive()

		return remote, false, err
	}

	heard := &hearing{Reader: in.conn}
	in.conn = heard

	defer func() { in.conn = heard.Reader }()

	var sendErr error

	done := make(chan struct{})
	pause := time.AfterFunc(DialectPause, func() {
		defer close(done)

		if !heard.any.Load() {
			spoken, sendErr = true, x.send(wire.AuthPlain)
		}
	})

	remote, err = x.receive()
	if !pause.Stop() {
		<-done
	}

	if err == nil {
		err = sendErr
	}

	return remote, spoken, err
}

// hearing notes whether anything has been read.
type hearing struct {
	io.Reader

	any atomic.Bool
}

func (h *hearing) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if n > 0 {
		h.any.Store(true)
	}

	return n, err
}

// answer sends our auth message in the form of the peer's, unless it is sent.
func (x *authExchange) answer(form wire.AuthForm, spoken bool) error {
	if !spoken {
		return x.send(form)
	}

	if form != wire.AuthPlain {
		return fmt.Errorf("receive identity: %w: its key is typed, as in A and B, and this side has spoken C by then", ErrDialect)
	}

	return nil
}
