package lp2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// NodeInfoProtocol tells any remote the NodeInfo of the node, as a native node does
// (docs/sessions.md §10). It makes no session.
const NodeInfoProtocol protocol.ID = "/tm2/nodeinfo/1"

// answering returns a stream handler for questions outside a session, which answer writes
// the answer to. Such streams count as handshakes.
func (t *Transport) answering(answer func(network.Stream) error) network.StreamHandler {
	return t.handler(func(s network.Stream) {
		slot, err := t.takeSlot(t.handshakes, s)
		if err != nil {
			_ = s.ResetWithError(network.StreamRateLimited)

			return
		}
		defer slot.leave()

		err = s.SetDeadline(time.Now().Add(t.opts.timeouts.Handshake))
		if err == nil {
			err = answer(s)
		}
		if err != nil {
			t.logger.Debug("question was not answered", "protocol", s.Protocol(), "peer", s.Conn().RemotePeer(), "err", err)
			t.tryEnd(func() { _ = s.Reset() })

			return
		}
		t.tryEnd(func() { _ = s.Close() }) // if it fails the connection has ended
	})
}

func (t *Transport) sendNodeInfo(s network.Stream) error {
	body, err := t.NodeInfo().MarshalBinary()
	if err != nil {
		return err
	}
	_, err = s.Write(wire.AppendSized(nil, body))

	return err
}
