package discovery

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxTries is how many attempts are made at one IP and port within placeTTL to
	// find peers that others say are there. Without a bound somebody could have an
	// address flooded by making up peers.
	maxTries = 3
	// placeTTL is for how long attempts count, and the owner of an address is known.
	placeTTL = 10 * time.Minute
	// maxPlaces bounds the addresses that are remembered.
	maxPlaces = 4096
)

// place is what is known of an IP and port.
type place struct {
	owner peer.ID   // who has proved to be there, empty if nobody has
	since time.Time // of the owner, else of the first attempt
	tries int       // since then
}

// places remembers at which addresses peers were looked for, and who was there.
// Not the claims of others count, which cost nothing, but the attempts of this node:
// whoever is at an address answers the first of them with its own identity.
type places map[netip.AddrPort]*place

// try reports whether the peer may be looked for at the address, and counts it.
func (s places) try(at netip.AddrPort, p peer.ID, now time.Time) bool {
	known := s[at]
	switch {
	case known == nil || now.Sub(known.since) >= placeTTL:
		s.put(at, &place{since: now, tries: 1})

		return true
	case known.owner != "":
		return known.owner == p
	case known.tries >= maxTries:
		return false
	default:
		known.tries++

		return true
	}
}

// found notes who is at the address.
func (s places) found(at netip.AddrPort, owner peer.ID, now time.Time) {
	s.put(at, &place{owner: owner, since: now})
}

// lost notes that the peer is not at the address any more, if it was: others may be.
func (s places) lost(at netip.AddrPort, p peer.ID) {
	if known := s[at]; known != nil && known.owner == p {
		known.owner, known.tries = "", 1
	}
}

func (s places) put(at netip.AddrPort, p *place) {
	if s[at] == nil && len(s) >= maxPlaces {
		for any := range s { // at random: nobody can tell which one goes
			delete(s, any)

			break
		}
	}
	s[at] = p
}

// sweep forgets what is too old to count.
func (s places) sweep(now time.Time) {
	for at, known := range s {
		if now.Sub(known.since) >= placeTTL {
			delete(s, at)
		}
	}
}
