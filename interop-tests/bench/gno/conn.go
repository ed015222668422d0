package main

import (
	"errors"
	"net"

	"github.com/gnolang/gno/tm2/pkg/crypto/ed25519"
	"github.com/gnolang/gno/tm2/pkg/log"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	"github.com/gnolang/gno/tm2/pkg/service"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

func secretPair() (a, b *conn.SecretConnection, err error) {
	return harness.SecurePair(func(c net.Conn) (*conn.SecretConnection, error) {
		return conn.MakeSecretConnection(c, ed25519.GenPrivKey())
	})
}

func openSecretConn(onB, onA harness.Handler) (*harness.Pipe, error) {
	a, b, err := secretPair()
	if err != nil {
		return nil, err
	}

	return harness.StreamPipe(a, b, onB, onA), nil
}

func openMConn(config conn.MConnConfig, queue int) harness.Opener {
	return func(onB, onA harness.Handler) (*harness.Pipe, error) {
		x, y, err := secretPair()
		if err != nil {
			return nil, err
		}
		multiplex := func(c net.Conn, on harness.Handler) *conn.MConnection {
			// A failed connection accepts no messages, which the harness notices.
			m := conn.NewMConnectionWithConfig(c, twoChannels(queue),
				func(ch byte, msg []byte) { on(ch, msg) }, func(error) {}, config)
			m.SetLogger(log.NewNoopLogger())

			return m
		}
		a, b := multiplex(x, onA), multiplex(y, onB)
		if err := errors.Join(a.Start(), b.Start()); err != nil {
			return nil, err
		}

		return &harness.Pipe{
			Send: a.Send, Reply: b.Send,
			Close: func() error { return errors.Join(stop(a), stop(b)) },
		}, nil
	}
}

// stop stops a connection that may have stopped because the other end did.
func stop(m *conn.MConnection) error {
	if err := m.Stop(); !errors.Is(err, service.ErrAlreadyStopped) {
		return err
	}

	return nil
}
