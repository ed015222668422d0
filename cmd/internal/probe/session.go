package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// exchangeOverLibp2p becomes a peer of a node that speaks libp2p only, with the channel of peer
// exchange only, and asks it for others. Such a node may do without a DHT.
func (p *prober) exchangeOverLibp2p(ctx context.Context, r *Result) {
	if !slices.Contains(r.NodeInfo.Channels, pex.Channel) {
		return
	}
	told, err := p.askInSession(ctx, r)
	r.Peers = r.Peers.with(&Peers{Exchanged: told})
	if err != nil {
		r.Peers.Refused = append(r.Peers.Refused, ended(ctx, fmt.Errorf("peer exchange: %w", err)))
	}
}

func (p *prober) askInSession(ctx context.Context, r *Result) (told []types.NetAddress, err error) {
	at, err := netip.ParseAddrPort(p.hostPort)
	if err != nil {
		return nil, err
	}
	key := types.GenerateNodeKey()
	transport, err := lp2p.NewTransport(ownNodeInfo(r.NodeInfo, key.ID()), *key, nil, lp2p.WithPrivateNode())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, transport.Close()) }()
	a := newAsker()
	peer, err := transport.Dial(ctx, types.NetAddress{ID: r.ID, IP: at.Addr().AsSlice(), Port: at.Port()}, a)
	if err != nil {
		return nil, err
	}
	defer transport.Remove(peer)
	if err := peer.Start(); err != nil {
		return nil, err
	}

	return collect(func() ([]types.NetAddress, error) { return a.ask(ctx, peer) })
}

// asker is a switch with one reactor, which receives the answers of one peer.
type asker struct {
	compat.BaseReactor
	answers chan []byte // the first one that is not read yet
	failed  chan error
}

func newAsker() *asker {
	a := &asker{answers: make(chan []byte, 1), failed: make(chan error, 1)}
	a.BaseReactor = *compat.NewBaseReactor("asker", a)

	return a
}

// errNoAnswer says that a node has not answered in time: it knows nobody.
var errNoAnswer = errors.New("no answer")

// ask sends a request and returns the answer.
func (a *asker) ask(ctx context.Context, peer compat.PeerConn) ([]types.NetAddress, error) {
	if !peer.TrySend(pex.Channel, wire.AppendRequest(nil)) {
		return nil, errors.New("the request was not accepted")
	}
	timer := time.NewTimer(answerWait)
	defer timer.Stop()
	select {
	case msg := <-a.answers:
		texts, _, err := wire.DecodeDiscovery(msg)
		if err != nil {
			return nil, err
		}

		return parseAll(texts)
	case err := <-a.failed:
		return nil, err
	case <-timer.C:
		return nil, errNoAnswer
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// GetChannels implements compat.Reactor.
func (*asker) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: pex.Channel, Priority: 1, RecvMessageCapacity: maxAnswer}}
}

// Receive implements compat.Reactor. It passes over requests, which nodes send to new peers too.
func (a *asker) Receive(_ byte, _ compat.PeerConn, msg []byte) {
	if _, request, err := wire.DecodeDiscovery(msg); err == nil && request {
		return
	}
	select {
	case a.answers <- slices.Clone(msg):
	default: // nobody has asked for it
	}
}

// ReactorChDescriptors implements compat.PeerBehavior.
func (a *asker) ReactorChDescriptors() []*compat.ChannelDescriptor { return a.GetChannels() }

// Reactors implements compat.PeerBehavior.
func (a *asker) Reactors() map[byte]compat.Reactor { return map[byte]compat.Reactor{pex.Channel: a} }

// HandlePeerError implements compat.PeerBehavior.
func (a *asker) HandlePeerError(_ compat.PeerConn, err error) {
	select {
	case a.failed <- err:
	default: // it is known already
	}
}

// IsPersistentPeer implements compat.PeerBehavior.
func (*asker) IsPersistentPeer(types.ID) bool { return false }

// IsPrivatePeer implements compat.PeerBehavior.
func (*asker) IsPrivatePeer(types.ID) bool { return false }
