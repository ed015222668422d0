package bridgehttp

import (
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
)

// The states of Health.
const (
	StateOK       = "ok"       // nodes are paired, and nobody is refused
	StateIdle     = "idle"     // everything is there, but no node has dialed the bridge
	StateDegraded = "degraded" // it works, and something needs a look
	StateDown     = "down"     // no node could get a pair
)

// fullShare is the part of the slots from which on a bridge counts as almost full.
const fullShare = 0.9

// Health says at a glance whether the bridge works.
type Health struct {
	State  string `json:"state"`
	Ready  bool   `json:"ready"` // a node that dials now could get a pair
	Reason string `json:"reason"`
	Cure   string `json:"cure,omitempty"`
	// Refused counts the nodes in Status.Waiting that should have a pair: not those that are
	// blocked or misbehave, or have come back while their former pair was ending.
	Refused int `json:"refused"`
}

// Judge returns the health of a bridge with this status.
func Judge(s bridge.Status) Health {
	refused, latest := refusedNow(s)
	h := judge(s, refused, latest)
	h.Refused = refused

	return h
}

// judge decides by the first rule that fits.
func judge(s bridge.Status, refused int, worst bridge.WaitingStatus) Health {
	usable, down, configured := 0, 0, 0
	for _, t := range s.Targets {
		switch {
		case t.State == bridge.TargetBlocked:
			continue
		case t.State != bridge.TargetDown:
			usable++
		case t.Configured:
			down++
		}
		if t.Configured {
			configured++
		}
	}
	switch {
	case !s.Running:
		return Health{State: StateDown, Reason: "The bridge does not run."}
	case usable == 0 && down > 0:
		return Health{State: StateDown, Reason: fmt.Sprintf("None of %s can be reached.", count(down, "configured target")),
			Cure: "See the last error of each target, and run: tm2bridge check"}
	case usable == 0 && len(s.BlockedPeers)+len(s.BlockedIPs) > 0:
		return Health{State: StateDown, Reason: "No target is known that is not blocked, so that every node that dials is refused.",
			Cure: "See whether [p2p].blocked_peers and blocked_ips have the configured nodes, and run: tm2bridge check"}
	case usable == 0:
		return Health{State: StateDown, Reason: "No target is known, so that every node that dials is refused.",
			Cure: "Configure [bridge].libp2p_peers or [p2p].persistent_peers and reload, or run: tm2bridge connect"}
	case lostSide(s) != "":
		return Health{State: StateDegraded, Ready: s.MaxPairs == 0 || s.SlotsTaken < s.MaxPairs,
			Reason: fmt.Sprintf("No configured %s target can be reached, so that nodes of the other side may get no pair.", lostSide(s)),
			Cure:   "See the last error of each target, and run: tm2bridge check"}
	case refused > 0:
		return Health{State: StateDegraded, Ready: true,
			Reason: fmt.Sprintf("%s no pair: %s.", count2(refused, "node gets", "nodes get"), worst.Reason), Cure: worst.Cure}
	case s.MaxPairs > 0 && float64(s.SlotsTaken) >= fullShare*float64(s.MaxPairs):
		return Health{State: StateDegraded, Ready: s.SlotsTaken < s.MaxPairs,
			Reason: fmt.Sprintf("%d of %d slots are taken.", s.SlotsTaken, s.MaxPairs),
			Cure:   "Raise [bridge].max_pairs, or run another bridge with a key of its own."}
	case down > 0:
		return Health{State: StateDegraded, Ready: true,
			Reason: fmt.Sprintf("%d of %s cannot be reached.", down, count(configured, "configured target")),
			Cure:   "See the last error of the target, and run: tm2bridge check"}
	case len(s.Pairs) == 0:
		return Health{State: StateIdle, Ready: true, Reason: "Ready. No node is paired yet."}
	default:
		return Health{State: StateOK, Ready: true, Reason: fmt.Sprintf("%s up, nobody is refused.", count2(len(s.Pairs), "pair is", "pairs are"))}
	}
}

// lostSide returns the side whose configured targets are all down while no other target of it
// can be used, or nothing.
func lostSide(s bridge.Status) string {
	for _, side := range []string{bridge.InitiatorLibp2p, bridge.InitiatorNative} {
		usable, down := 0, 0
		for _, t := range s.Targets {
			switch {
			case t.Side != side || t.State == bridge.TargetBlocked:
			case t.State != bridge.TargetDown:
				usable++
			case t.Configured:
				down++
			}
		}
		if usable == 0 && down > 0 {
			return side
		}
	}

	return ""
}

// meant are the reasons of refusals that need no cure.
var meant = map[string]bool{"blocked": true, "conduct": true, "presented": true, "replaced": true, "former pair": true, "ended": true, "closing": true}

// refusedNow counts the nodes that would like a pair and get none, and returns the latest.
func refusedNow(s bridge.Status) (n int, latest bridge.WaitingStatus) {
	for _, w := range s.Waiting {
		if meant[w.Reason] {
			continue
		}
		if n == 0 {
			latest = w
		}
		n++
	}

	return n, latest
}

func count(n int, noun string) string { return count2(n, noun, noun+"s") }

func count2(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}

	return fmt.Sprintf("%d %s", n, many)
}
