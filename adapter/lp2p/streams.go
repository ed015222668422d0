package lp2p

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// peerSpareStreams is how many streams a peer may have open for libp2p's services and
// for discovery.
const peerSpareStreams = 16

// streamLimits bounds the streams that one peer may have open here. Streams that belong to
// no session are few, so that strangers use up nothing that sessions need.
type streamLimits struct {
	spare      int               // for handshakes and services
	perSession int               // the control stream and one for each channel
	sessions   func(peer.ID) int // running sessions of a peer
}

func (o *options) streamLimits() streamLimits {
	return streamLimits{
		spare:      o.limits.HandshakesPerPeer + peerSpareStreams,
		perSession: (o.budget.streams + 1) / 2,
		sessions:   o.sessions.of,
	}
}

// of returns how many streams the peer may have open now.
func (l streamLimits) of(p peer.ID) int { return l.spare + l.sessions(p)*l.perSession }

// guardedResources refuses inbound streams above the limit of their peer. The limits of
// libp2p's resource manager are the same for a stranger and for a bridge with all its
// sessions.
type guardedResources struct {
	network.ResourceManager
	limits streamLimits
}

// OpenStream implements network.ResourceManager.
func (g guardedResources) OpenStream(p peer.ID, dir network.Direction) (network.StreamManagementScope, error) {
	if dir == network.DirInbound {
		most, open := g.limits.of(p), 0
		err := g.ViewPeer(p, func(s network.PeerScope) error {
			open = s.Stat().NumStreamsInbound

			return nil
		})
		if err == nil && open >= most {
			err = fmt.Errorf("%w: %d streams of one peer", network.ErrResourceLimitExceeded, open)
		}
		if err != nil {
			return nil, err
		}
	}

	return g.ResourceManager.OpenStream(p, dir)
}

// negotiate is what the host does with each stream of a remote: it lets the remote propose
// a protocol within the handshake timeout, and runs the handler of that protocol. It
// replaces libp2p's own handler, which gives a remote 10 seconds and knows no limit per IP.
// The streams of a peer with a session are bounded by guardedResources only.
func (t *Transport) negotiate(ns network.Stream) {
	if t.enter() != nil {
		_ = ns.ResetWithError(network.StreamShutdown)

		return
	}
	handle := t.propose(ns)
	t.tasks.Done()
	if handle != nil {
		handle() // Close waits for it where it is one of ours
	}
}

// propose returns the handler of the protocol that the remote proposes, or nil after it has
// reset the stream.
func (t *Transport) propose(ns network.Stream) (handle func()) {
	if c := ns.Conn(); t.sessions.of(c.RemotePeer()) == 0 {
		giveBack, ok := t.proposals.take(c, t.isExempt(c.RemotePeer()))
		if !ok {
			t.logInbound(slog.LevelWarn, c, "inbound stream refused", "busy")
			_ = ns.ResetWithError(network.StreamRateLimited)

			return nil
		}
		defer giveBack()
	}

	err := ns.SetDeadline(time.Now().Add(t.opts.timeouts.Handshake))
	if err != nil {
		_ = ns.Reset()

		return nil
	}
	proto, handler, err := t.host.Mux().Negotiate(ns)
	if err != nil {
		_ = ns.ResetWithError(network.StreamProtocolNegotiationFailed)

		return nil
	}
	if err := ns.SetDeadline(time.Time{}); err != nil {
		_ = ns.Reset()

		return nil
	}
	if err := ns.SetProtocol(proto); err != nil {
		_ = ns.ResetWithError(network.StreamResourceLimitExceeded)

		return nil
	}

	return func() { _ = handler(proto, ns) }
}

// isExempt reports whether the limits that strangers share do not apply to a libp2p peer.
func (t *Transport) isExempt(p peer.ID) bool {
	behavior := t.served.Load()
	if behavior == nil {
		return false
	}
	id, err := p2paddr.TM2ID(p)
	if err != nil {
		return false
	}
	if e, ok := (*behavior).(compat.PeerExemption); ok {
		return e.IsExemptPeer(id)
	}

	return (*behavior).IsPersistentPeer(id)
}
