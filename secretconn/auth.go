package secretconn

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// authExchange is the second part of the handshake: both sides prove their
// identity.
type authExchange struct {
	sc        *SecretConnection
	own       wire.Auth // its form is decided when it is sent
	challenge [challengeSize]byte
}

func newAuthExchange(sc *SecretConnection, key ed25519.PrivateKey, challenge [challengeSize]byte) *authExchange {
	return &authExchange{sc: sc, own: signAuth(key, challenge), challenge: challenge}
}

// run returns what the peer has proved. To a peer that adapts it speaks dialect C
// at once; to any other one it answers in kind.
func (x *authExchange) run(adapts bool) (remote wire.Auth, err error) {
	spoken := adapts

	if adapts {
		if err := x.send(wire.AuthPlain); err != nil {
			return wire.Auth{}, err
		}

		remote, err = x.receive()
	} else {
		remote, spoken, err = x.awaitAuth()
	}

	if err != nil {
		return wire.Auth{}, err
	}

	if err := x.answer(remote.Form, spoken); err != nil {
		return wire.Auth{}, err
	}

	return remote, nil
}

// send sends our auth message.
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
