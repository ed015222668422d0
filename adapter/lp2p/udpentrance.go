package lp2p

import (
	"fmt"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
)

// udpEntrance decides which inbound QUIC connections get a handshake. Unlike those of entrance,
// none gives way, as only go-libp2p's listener can close one whose remote has not proved an ID.
// All methods may be called concurrently.
type udpEntrance struct {
	places *places.Places
	rate   *rate.Limiter // of handshakes

	// Whether a configured peer may come from there. Set before the host listens; nil: no.
	reserves func(netip.Addr) bool
}

func newUDPEntrance(o *options) *udpEntrance {
	limits := o.limits.places()
	limits.PerHost = max(minPlaces, limits.Total/4)

	return &udpEntrance{
		places: places.New(limits), rate: newConnRateLimiter(o.limits.ConnectionsPerIP, o.loopbackCounts),
	}
}

// admit takes a place for a connection, which holds it until its scope opens or is done.
func (e *udpEntrance) admit(
	from multiaddr.Multiaddr, open func(peer.ID) (network.ConnManagementScope, error),
) (network.ConnManagementScope, error) {
	ip := ipOf(from)
	reserved := e.reserves != nil && e.reserves(ip)
	if !reserved && !e.rate.Allow(ip) {
		return nil, errConnRate
	}
	place, err := e.places.Take(ip, reserved, func() {})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", network.ErrResourceLimitExceeded, err)
	}
	place.Settle()
	leave := func() { place.Leave() }
	scope := newLateScope(func(p peer.ID) (network.ConnManagementScope, error) {
		leave()

		return open(p)
	})
	scope.leave = leave

	return scope, nil
}
