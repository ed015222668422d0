package lp2p

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// minVoters is how many networks have to say the same before this node believes it.
	// An attacker needs peers in as many to deceive it.
	minVoters = 3
	// maxVoters is how many networks are remembered. Beyond it a random one is forgotten.
	maxVoters = 64
	// voteLife is how long what a network has said counts.
	voteLife = time.Hour
)

// votes are what peers say of this node. Of each network (netgroup.Network) the last word
// counts.
type votes[V comparable] map[netip.Prefix]vote[V]

// voterAt returns the network of a peer at the address. It is not valid for one behind a relay, as
// whose network that of the relay would count.
func voterAt(at multiaddr.Multiaddr) netip.Prefix {
	if isCircuit(at) {
		return netip.Prefix{}
	}

	return netgroup.Network(ipOf(at))
}

type vote[V comparable] struct {
	value V
	at    time.Time
}

// add notes what a peer in the network says, and reports whether at least minVoters
// networks, and more than half of those that say anything, say the same.
func (v votes[V]) add(network netip.Prefix, value V, now time.Time) (agreed bool) {
	maps.DeleteFunc(v, func(_ netip.Prefix, old vote[V]) bool { return now.Sub(old.at) >= voteLife })
	if _, known := v[network]; !known && len(v) >= maxVoters {
		voters := slices.Collect(maps.Keys(v))
		delete(v, voters[rand.IntN(len(voters))])
	}
	v[network] = vote[V]{value, now}
	same := 0
	for _, other := range v {
		if other.value == value {
			same++
		}
	}

	return same >= minVoters && 2*same > len(v)
}
