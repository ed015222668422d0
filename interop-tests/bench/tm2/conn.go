package main

import (
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

func openSecretConn(onB, onA harness.Handler) (*harness.Pipe, error) {
	a, b, err := harness.SecurePair(func(c net.Conn) (*secretconn.SecretConnection, error) {
		return secretconn.MakeSecretConnection(c, types.GenerateNodeKey().PrivKey)
	})
	if err != nil {
		return nil, err
	}

	return harness.StreamPipe(a, b, onB, onA), nil
}
