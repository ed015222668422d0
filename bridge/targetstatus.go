package bridge

import (
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The states of a target.
const (
	TargetPaired   = "paired"   // it has a pair, or one is being made
	TargetReady    = "ready"    // it has answered, or was never tried
	TargetTroubled = "declined" // it answered, and did not want a node or kept no pair
	TargetDown     = "down"     // it failed, and nothing shows that it is up again
	TargetBlocked  = "blocked"  // an operator has blocked it
)

// TargetStatus is a node that the bridge may dial to complete a pair.
type TargetStatus struct {
	Side       string    `json:"side"` // InitiatorNative or InitiatorLibp2p: what it speaks
	ID         types.ID  `json:"id"`
	Address    string    `json:"address"` // host:port or IP:port
	Configured bool      `json:"configured"`
	Found      bool      `json:"found"` // in the DHT
	Told       bool      `json:"told"`  // others have named it, and it has proved nothing
	State      string    `json:"state"`
	Pairs      int       `json:"pairs"`    // that are up or being made
	Failures   int       `json:"failures"` // in a row
	NextTry    time.Time `json:"next_try"` // when it is no longer tried after the others; zero if it is not troubled

	// Refuses tells that it takes nobody: within RefusesAge, and since it has taken one, it has
	// refused a known node, or had no room for strangers of two hosts.
	Refuses bool `json:"refuses"`

	LastDial   time.Time `json:"last_dial"`   // zero if it was not dialed
	LastAnswer time.Time `json:"last_answer"` // the last dial that led to a connection; zero if none did
	LastResult string    `json:"last_result"` // "ok" or a kind of compat.DialFailure; empty if it was not dialed
	LastError  string    `json:"last_error"`
}

// targetStatus describes the targets of both sides. The journal adds how dials have ended.
func (b *Bridge) targetStatus() []TargetStatus {
	list := []TargetStatus{}
	up := make(map[types.ID]bool)
	for _, p := range b.slots.live() {
		up[p.target.addr.ID] = true
	}
	for _, side := range []struct {
		name    string
		targets *targets
	}{{InitiatorNative, b.nativeTargets}, {InitiatorLibp2p, b.libp2pTargets}} {
		for _, t := range side.targets.all(dialer{}) {
			s := TargetStatus{
				Side: side.name, ID: t.addr.ID, Address: t.addr.DialString(), Configured: t.configured, Found: t.found, Told: t.told,
				Pairs: t.pairs, Failures: t.failures, State: t.state(b, up[t.addr.ID]),
			}
			if t.isTroubled() {
				s.NextTry = t.troubledUntil()
			}
			list = append(list, s)
		}
	}

	return list
}

// state returns the state of a target, which has a pair that is up or not. One that has failed is
// down also while it is dialed.
func (t *target) state(b *Bridge, up bool) string {
	switch {
	case b.blocksTarget(t.addr):
		return TargetBlocked
	case up:
		return TargetPaired
	case t.mayBeDown():
		return TargetDown
	case t.pairs > 0:
		return TargetPaired
	case t.isTroubled():
		return TargetTroubled
	default:
		return TargetReady
	}
}

// sideOf returns the name of the side of the targets.
func (b *Bridge) sideOf(ts *targets) string {
	if ts == b.nativeTargets {
		return InitiatorNative
	}

	return InitiatorLibp2p
}
