package secretconn

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// authExchange is the second part of the handshake, in which both sides prove their
// identity.
type authExchange struct {
	sc        *SecretConnection
	own       wire.Auth // without its form, which send decides
	challenge [challengeSize]byte
}

func newAuthExchange(sc *SecretConnection, key ed25519.PrivateKey, challenge [challengeSize]byte) *authExchange {
	return &authExchange{sc: sc, own: signAuth(key, challenge), challenge: challenge}
}

// run exchanges auth messages and returns the peer's, verified. If the peer adapts
// its dialect too, run speaks dialect C at once. Otherwise it answers in the form of
// the peer, or speaks dialect C after DialectPause.
func (x *authExchange) run(adapts bool) (remote wire.Auth, err error) {
	speak := func() error { return x.send(wire.AuthPlain) }
	receive := func() (err error) {
		remote, err = x.receive()

		return err
	}

	spoke := adapts
	if !adapts {
		spoke, err = x.sc.SpeakAfter(DialectPause, speak, receive)
	} else if err = speak(); err == nil {
		err = receive()
	}

	switch {
	case err != nil:
		return wire.Auth{}, err
	case !spoke:
		return remote, x.send(remote.Form)
	case remote.Form != wire.AuthPlain:
		return wire.Auth{}, fmt.Errorf("receive identity: %w: the peer speaks dialect A or B, and our identity was already sent in dialect C", ErrDialect)
	default:
		return remote, nil
	}
}

// send sends our auth message in the given form.
func (x *authExchange) send(form wire.AuthForm) error {
	own := x.own
	own.Form = form

	if _, err := x.sc.Write(wire.AppendAuth(nil, own)); err != nil {
		return fmt.Errorf("send identity: %w", err)
	}

	return nil
}

// receive returns the verified auth message of the peer.
func (x *authExchange) receive() (wire.Auth, error) {
	body, err := wire.ReadSized(x.sc, maxAuthSize)
	if err != nil {
		return wire.Auth{}, fmt.Errorf("receive identity: %w", err)
	}

	remote, err := wire.DecodeAuth(body)
	if errors.Is(err, wire.ErrKeyType) {
		err = fmt.Errorf("%w: %w", ErrDialect, err)
	}

	if err == nil {
		err = checkAuth(remote, x.own.PublicKey, x.challenge)
	}

	if err != nil {
		return wire.Auth{}, fmt.Errorf("receive identity: %w", err)
	}

	return remote, nil
}
