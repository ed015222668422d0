package lp2p

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// NodeInfoProtocol tells any remote the NodeInfo of the node, as a native node does
// (docs/sessions.md §10). It makes no session.
const NodeInfoProtocol protocol.ID = "/tm2/nodeinfo/1"

// answering returns a stream handler for questions outside a session, which answer writes
// the answer to. Such streams count as handshakes.
func (t *Transport) answering(answer func(network.Stream) error) network.StreamHandler {
	return t.handler(func(s network.Stream) {
		giveBack, ok := t.handshakes.take(s.Conn(), t.isExempt(s.Conn().RemotePeer()))
		if !ok {
			_ = s.ResetWithError(network.StreamRateLimited)

			return
		}
		defer giveBack()

		err := s.SetDeadline(time.Now().Add(t.opts.timeouts.Handshake))
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

// FetchNodeInfo asks the node at the address for its NodeInfo, under a temporary identity
// and without becoming its peer. It takes at most the sum of the default Dial and
// Handshake timeouts, less if ctx ends earlier. A *compat.WrongIDError says that another
// node answers there.
func FetchNodeInfo(ctx context.Context, addr types.NetAddress) (info types.NodeInfo, err error) {
	timeouts := DefaultTimeouts()
	ctx, cancel := context.WithTimeout(ctx, timeouts.Dial+timeouts.Handshake)
	defer cancel()

	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return types.NodeInfo{}, err
	}
	opts, err := newOptions(nil)
	if err != nil {
		return types.NodeInfo{}, err
	}
	h, err := newHost(key, opts, nil)
	if err != nil {
		return types.NodeInfo{}, err
	}
	defer func() { err = errors.Join(err, h.Close()) }() // and the stream

	if info, err = fetchNodeInfo(ctx, h, addr); err != nil {
		return types.NodeInfo{}, fmt.Errorf("unable to get the node info of %s: %w", addr.String(), err)
	}

	return info, nil
}

func fetchNodeInfo(ctx context.Context, h host.Host, addr types.NetAddress) (info types.NodeInfo, err error) {
	id, err := ProbeIdentity(ctx, addr.DialString())
	if err != nil {
		return info, err
	}
	if err := checkFound(addr, id); err != nil {
		return info, err
	}
	maddr, err := p2paddr.TCPMultiaddr(addr.IP, addr.Port)
	if err != nil {
		return info, err
	}
	h.Peerstore().AddAddr(id, maddr, time.Minute)
	s, err := h.NewStream(ctx, id, NodeInfoProtocol)
	if err != nil {
		return info, err
	}
	defer context.AfterFunc(ctx, func() { _ = s.SetDeadline(stream.LongAgo) })()

	if info, err = stream.ReadNodeInfo(s); err != nil {
		return info, err
	}
	if err := info.Validate(); err != nil {
		return info, fmt.Errorf("it is not valid: %w", err)
	}
	if info.ID() != addr.ID {
		return info, fmt.Errorf("it names %s, authenticated as %s", info.ID(), addr.ID)
	}

	return info, nil
}
