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

// NodeInfoProtocol tells whoever asks the NodeInfo of the node, as a native node
// does to whoever connects (docs/sessions.md §10). It makes no session.
const NodeInfoProtocol protocol.ID = "/tm2/nodeinfo/1"

// handleNodeInfo sends this node's NodeInfo and closes.
func (t *Transport) handleNodeInfo(s network.Stream) {
	if err := t.enter(); err != nil {
		_ = s.ResetWithError(network.StreamShutdown)

		return
	}
	defer t.tasks.Done()
	if !t.handshakes.take(s.Conn()) {
		_ = s.ResetWithError(network.StreamResourceLimitExceeded) // all the answer there is

		return
	}
	defer t.handshakes.giveBack(s.Conn())

	if err := t.sendNodeInfo(s); err != nil {
		t.logger.Debug("node info could not be sent", "peer", s.Conn().RemotePeer(), "err", err)
		t.tryEnd(func() { _ = s.Reset() }) // it has failed already

		return
	}
	t.tryEnd(func() { _ = s.Close() }) // the NodeInfo is on its way, or the remote gone

}

func (t *Transport) sendNodeInfo(s network.Stream) error {
	body, err := t.localNodeInfo().MarshalBinary()
	if err != nil {
		return err
	}
	if err := s.SetDeadline(time.Now().Add(t.opts.timeouts.Handshake)); err != nil {
		return err
	}
	_, err = s.Write(wire.AppendSized(nil, body))

	return err
}

// FetchNodeInfo asks the node at the address for its NodeInfo, under a throw-away
// identity and without becoming its peer. It takes at most the sum of the default
// Dial and Handshake timeouts, less if ctx ends earlier. A *compat.WrongIDError tells that
// somebody else answers there.
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
	defer func() { err = errors.Join(err, h.Close()) }()

	if info, err = fetchNodeInfo(ctx, h, addr); err != nil {
		return types.NodeInfo{}, fmt.Errorf("unable to get the node info of %s: %w", addr.String(), err)
	}

	return info, nil
}

func fetchNodeInfo(ctx context.Context, h host.Host, addr types.NetAddress) (types.NodeInfo, error) {
	id, err := ProbeIdentity(ctx, addr.DialString())
	if err != nil {
		return types.NodeInfo{}, err
	}
	if err := checkFound(addr, id); err != nil {
		return types.NodeInfo{}, err
	}
	maddr, err := p2paddr.TCPMultiaddr(addr.IP, addr.Port)
	if err != nil {
		return types.NodeInfo{}, err
	}
	h.Peerstore().AddAddr(id, maddr, time.Minute)
	s, err := h.NewStream(ctx, id, NodeInfoProtocol)
	if err != nil {
		return types.NodeInfo{}, err
	}

	info, err := readNodeInfo(ctx, s, addr.ID)
	if err != nil {
		return types.NodeInfo{}, errors.Join(err, s.Reset())
	}

	return info, s.Close()
}

func readNodeInfo(ctx context.Context, s network.Stream, id types.ID) (types.NodeInfo, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.SetDeadline(deadline); err != nil {
			return types.NodeInfo{}, err
		}
	}
	info, err := stream.ReadNodeInfo(s)
	if err != nil {
		return types.NodeInfo{}, err
	}
	if err := info.Validate(); err != nil {
		return types.NodeInfo{}, fmt.Errorf("it is not valid: %w", err)
	}
	if info.ID() != id {
		return types.NodeInfo{}, fmt.Errorf("it names %s, authenticated as %s", info.ID(), id)
	}

	return info, nil
}
