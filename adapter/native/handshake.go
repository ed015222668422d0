package native

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

// upgrade verifies a fresh connection. For an outbound one dialed is the address
// that was asked for, and nothing of this node is shown to anybody else. On an
// error the caller closes conn.
func (mt *MultiplexTransport) upgrade(ctx context.Context, conn net.Conn, dialed *types.NetAddress) (*Pending, error) {
	// A context that ends closes the connection, which ends any read or write.
	stop := context.AfterFunc(ctx, func() { mt.closeConn(conn) })
	pending, err := mt.handshake(conn, dialed)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}

	return pending, nil
}

func (mt *MultiplexTransport) handshake(conn net.Conn, dialed *types.NetAddress) (*Pending, error) {
	remote := conn.RemoteAddr().String()
	if dialed != nil {
		remote = dialed.String()
	}

	if err := conn.SetDeadline(time.Now().Add(mt.timeout)); err != nil {
		return nil, &HandshakeError{Step: "secret connection", Remote: remote, Err: err}
	}
	secret, err := secretconn.MakeSecretConnection(conn, mt.nodeKey.PrivKey)
	if err != nil {
		return nil, &HandshakeError{Step: "secret connection", Remote: remote, Err: err}
	}
	id := types.IDFromPublicKey(secret.RemotePubKey())
	if dialed != nil && dialed.ID != id {
		err := fmt.Errorf("%w: dialed %s, answered by %s", ErrWrongID, dialed.ID, id)

		return nil, &HandshakeError{Step: "secret connection", Remote: remote, Err: err}
	}

	socket, err := types.NewNetAddress(id, conn.RemoteAddr())
	if err != nil {
		return nil, &HandshakeError{Step: "secret connection", Remote: remote, Err: err}
	}
	if dialed != nil {
		remote = dialed.String()
	} else {
		remote = socket.String()
	}
	pending := &Pending{transport: mt, conn: secret, socket: socket, outbound: dialed != nil, leave: func() {}}
	if err := mt.exchange(pending); err != nil {
		return nil, &HandshakeError{Step: "node info", Remote: remote, Err: err}
	}

	return pending, nil
}

// exchange sends our NodeInfo and reads the remote's. A relay only reads: it
// answers when it knows on whose behalf.
func (mt *MultiplexTransport) exchange(p *Pending) error {
	if err := p.conn.SetDeadline(time.Now().Add(mt.timeout)); err != nil {
		return err
	}
	local := mt.localNodeInfo()
	if !mt.relay {
		if err := sendNodeInfo(p.conn, local); err != nil {
			return err
		}
	}
	node, err := receiveNodeInfo(p.conn, p.socket.ID)
	if err != nil {
		return err
	}
	p.node = node
	if mt.relay {
		return nil
	}
	if err := local.CompatibleWith(node); err != nil {
		return err
	}

	return p.conn.SetDeadline(time.Time{})
}

func sendNodeInfo(conn net.Conn, info types.NodeInfo) error {
	body, err := info.MarshalBinary()
	if err != nil {
		return fmt.Errorf("unable to encode own node info: %w", err)
	}
	if _, err := conn.Write(wire.AppendSized(nil, body)); err != nil {
		return fmt.Errorf("unable to send own node info: %w", err)
	}

	return nil
}

// receiveNodeInfo returns the NodeInfo of the remote that owns the ID.
func receiveNodeInfo(conn net.Conn, id types.ID) (types.NodeInfo, error) {
	body, err := wire.ReadSized(conn, types.MaxNodeInfoSize)
	if err != nil {
		return types.NodeInfo{}, fmt.Errorf("unable to receive node info: %w", err)
	}
	var info types.NodeInfo
	if err := info.UnmarshalBinary(body); err != nil {
		return types.NodeInfo{}, fmt.Errorf("unable to decode node info: %w", err)
	}
	if err := info.Validate(); err != nil {
		return types.NodeInfo{}, fmt.Errorf("node info is not valid: %w", err)
	}
	if info.ID() != id {
		return types.NodeInfo{}, fmt.Errorf("%w: node info names %s, authenticated as %s", ErrWrongID, info.ID(), id)
	}

	return info, nil
}
