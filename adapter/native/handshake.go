package native

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

// upgrade verifies a fresh connection. For an outbound one, dialed is the address that
// was asked for, and no other node is shown our NodeInfo. On an error the caller closes
// conn.
func (mt *MultiplexTransport) upgrade(ctx context.Context, conn net.Conn, dialed *types.NetAddress) (*Pending, error) {
	// A context that ends closes the connection, which ends any read or write.
	stop := context.AfterFunc(ctx, func() { mt.closeConn(conn) })
	pending, err := mt.handshake(conn, dialed)
	if stop() {
		return pending, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
	}

	return nil, ctx.Err()
}

func (mt *MultiplexTransport) handshake(conn net.Conn, dialed *types.NetAddress) (*Pending, error) {
	remote := conn.RemoteAddr().String()
	if dialed != nil {
		remote = dialed.String()
	}
	begun := time.Now()
	pending, err := mt.secure(conn, dialed)
	if err != nil {
		return nil, &HandshakeError{Step: stepSecretConnection, Remote: remote, Err: err}
	}
	if dialed == nil {
		remote = pending.socket.String()
	}
	if err := mt.exchange(pending, time.Since(begun)); err != nil {
		return nil, &HandshakeError{Step: stepNodeInfo, Remote: remote, Err: err}
	}

	return pending, nil
}

// secure makes the secret connection and checks whom it reaches.
func (mt *MultiplexTransport) secure(conn net.Conn, dialed *types.NetAddress) (*Pending, error) {
	if err := conn.SetDeadline(time.Now().Add(mt.timeout)); err != nil {
		return nil, err
	}
	secret, err := secretconn.MakeSecretConnection(conn, mt.nodeKey.PrivKey)
	var greeting *secretconn.GreetingError
	if errors.As(err, &greeting) {
		err = &compat.ForeignError{Answered: sniff.Protocol(greeting.First), Err: err}
	}
	if dialed != nil && errors.Is(err, secretconn.ErrOwnKey) {
		return nil, wrongID(dialed, mt.nodeKey.ID())
	}
	if err != nil {
		return nil, err
	}
	id := types.IDFromPublicKey(secret.RemotePubKey())
	if dialed != nil && dialed.ID != id {
		return nil, wrongID(dialed, id)
	}
	socket, err := types.NewNetAddress(id, conn.RemoteAddr())
	if err != nil {
		return nil, err
	}

	return &Pending{
		transport: mt, conn: secret, socket: socket, bridge: tunneledBy(conn), outbound: dialed != nil, leave: func() {},
	}, nil
}

func wrongID(dialed *types.NetAddress, found types.ID) error {
	return &compat.WrongIDError{Addr: dialed.DialString(), Asked: dialed.ID, Found: found}
}
