package secretconn

import (
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// DialectPause is how long the handshake waits for the auth message of a peer whose
// ephemeral key is not marked, before it speaks dialect C (docs/wire.md §1.2). It
// delays only handshakes with peers that wait too and do not mark their keys, none of
// which are known. It must be longer than a round trip, so that the auth message of an
// older node that dials us arrives in time. The whole handshake may take 3 s.
const DialectPause = time.Second

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

// SpeakAfter runs receive, and calls speak on another goroutine if nothing has come
// from the peer when the pause ends. It reports whether it has called speak, and
// returns after both. A frame that has begun counts as heard, and so does data that
// has arrived and was not read. Nothing else may read meanwhile.
func (sc *SecretConnection) SpeakAfter(pause time.Duration, speak, receive func() error) (spoke bool, err error) {
	sc.in.heard.Store(sc.in.r < sc.in.w || len(sc.in.plain) > 0)

	var speakErr error

	done := make(chan struct{})
	timer := time.AfterFunc(pause, func() {
		defer close(done)

		if !sc.in.heard.Load() {
			spoke, speakErr = true, speak()
		}
	})

	err = receive()
	if !timer.Stop() {
		<-done
	}

	if err == nil {
		err = speakErr
	}

	return spoke, err
}
