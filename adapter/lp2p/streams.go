package lp2p

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
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
// sessions. Inbound connections are admitted by sessionless, and those over UDP count once
// their remotes have proved an ID. Errors about the connections of an IP wrap
// network.ErrResourceLimitExceeded, as those about all connections do.
type guardedResources struct {
	network.ResourceManager
	limits      streamLimits
	sessionless *sessionless
	rate        *rate.Limiter // of connections
	udp         *udpEntrance
}

var errConnRate = fmt.Errorf("%w: too many connections with the IP within a short time", network.ErrResourceLimitExceeded)

// OpenConnection implements network.ResourceManager.
func (g guardedResources) OpenConnection(
	dir network.Direction, usefd bool, endpoint multiaddr.Multiaddr,
) (network.ConnManagementScope, error) {
	switch {
	case dir == network.DirInbound && p2paddr.IsUDP(endpoint):
		return g.udp.admit(endpoint, func(p peer.ID) (network.ConnManagementScope, error) {
			return g.openInbound(usefd, endpoint, p)
		})
	case dir == network.DirInbound:
		return g.openInbound(usefd, endpoint, "")
	case !g.rate.Allow(ipOf(endpoint)):
		return nil, errConnRate
	}
	scope, err := g.ResourceManager.OpenConnection(dir, usefd, endpoint)

	return scope, exceeded(err)
}

// exceeded makes an error of the resource manager one about its limits.
func exceeded(err error) error {
	if err == nil || errors.Is(err, network.ErrResourceLimitExceeded) {
		return err
	}

	return fmt.Errorf("%w: %w", network.ErrResourceLimitExceeded, err)
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
// replaces libp2p's own handler, which gives a remote 10 seconds and knows no IPs. The
// streams of a peer with a session are bounded by guardedResources only.
func (t *Transport) negotiate(ns network.Stream) {
	if t.enter() != nil {
		_ = ns.ResetWithError(network.StreamShutdown)

		return
	}
	proto, handle, err := t.propose(ns)
	if err != nil {
		_ = ns.ResetWithError(codeOf(err))
	}
	t.tasks.Done()
	if err == nil {
		_ = handle(proto, ns) // Close waits for it where it is one of ours
	}
}

// propose returns the protocol that the remote proposes, and its handler. The error wraps
// places.ErrFull if there was no place for the stream, or a stream of a less crowded network
// has taken it.
func (t *Transport) propose(ns network.Stream) (proto protocol.ID, handle protocol.HandlerFunc, err error) {
	place, err := t.placeFor(ns)
	if err != nil {
		return "", nil, err
	}
	if err = ns.SetDeadline(time.Now().Add(t.opts.timeouts.Handshake)); err == nil {
		proto, handle, err = t.host.Mux().Negotiate(ns)
	}
	if place != nil && place.Leave() {
		return "", nil, places.ErrFull
	}
	if err == nil {
		err = ns.SetDeadline(time.Time{})
	}
	if err == nil {
		err = ns.SetProtocol(proto)
	}

	return proto, handle, err
}

// placeFor returns the place of a stranger's stream until it has a protocol, and nil for a
// peer with a session, which needs none.
func (t *Transport) placeFor(ns network.Stream) (*places.Place, error) {
	c := ns.Conn()
	if t.sessions.of(c.RemotePeer()) > 0 {
		return nil, nil
	}
	place, err := t.proposals.Take(ipOf(c.RemoteMultiaddr()), t.isExempt(c.RemotePeer()), func() {
		_ = ns.SetDeadline(stream.LongAgo)
	})
	if err != nil {
		t.logInbound(slog.LevelWarn, c, "inbound stream refused", "busy", "err", err)
	}

	return place, err
}

// codeOf returns how a stream is reset whose protocol was not negotiated.
func codeOf(err error) network.StreamErrorCode {
	switch {
	case errors.Is(err, places.ErrFull):
		return network.StreamRateLimited
	case errors.Is(err, network.ErrResourceLimitExceeded):
		return network.StreamResourceLimitExceeded
	default:
		return network.StreamProtocolNegotiationFailed
	}
}

// isExempt reports whether the limits that strangers share do not apply to a libp2p peer.
func (t *Transport) isExempt(p peer.ID) bool {
	var decider any = t.opts.admission
	if behavior := t.served.Load(); behavior != nil {
		decider = *behavior
	}
	exemption, ok := decider.(compat.PeerExemption)
	behavior, isBehavior := decider.(compat.PeerBehavior)
	if !ok && !isBehavior {
		return false
	}
	id, err := t.ids.Of(p)
	switch {
	case err != nil:
		return false
	case ok:
		return exemption.IsExemptPeer(id)
	default:
		return behavior.IsPersistentPeer(id)
	}
}
