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
	// voteLife is how long what a network has said counts. It counts longer while the peer that has
	// said so is connected, see addWhile: else newcomers could outvote peers that have nothing new to say.
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
	lasts func() bool // it counts for as long as this holds, and for voteLife after that; may be nil
}

// add notes what a peer in the network says, and reports whether at least minVoters
// networks, and more than half of those that say anything, say the same.
func (v votes[V]) add(network netip.Prefix, value V, now time.Time) (agreed bool) {
	return v.addWhile(network, value, now, nil)
}

// addWhile is add for what counts as long as lasts reports true, and for voteLife after that.
func (v votes[V]) addWhile(network netip.Prefix, value V, now time.Time, lasts func() bool) (agreed bool) {
	v.forget(now)
	if _, known := v[network]; !known && len(v) >= maxVoters {
		voters := slices.Collect(maps.Keys(v))
		delete(v, voters[rand.IntN(len(voters))])
	}
	v[network] = vote[V]{value, now, lasts}
	most, agreed := v.agreed(now)

	return agreed && most == value
}

// agreed returns what at least minVoters networks, and more than half of those that say
// anything, say.
func (v votes[V]) agreed(now time.Time) (value V, ok bool) {
	v.forget(now)
	same := make(map[V]int)
	for _, of := range v {
		same[of.value]++
	}
	for value, n := range same {
		if n >= minVoters && 2*n > len(v) {
			return value, true
		}
	}

	return value, false
}

// forget drops the votes that do not count any more.
func (v votes[V]) forget(now time.Time) {
	for network, old := range v {
		switch {
		case old.lasts != nil && old.lasts():
			old.at = now
			v[network] = old
		case now.Sub(old.at) >= voteLife:
			delete(v, network)
		}
	}
}
