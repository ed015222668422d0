package bridgehttp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
)

// The states of Health.
const (
	StateOK       = "ok"       // nodes are paired, and no node that should have a pair is refused
	StateIdle     = "idle"     // everything is there, but no node has dialed the bridge
	StateDegraded = "degraded" // it works, and something needs a look
	StateDown     = "down"     // no node could get a pair, or a tunnel where the bridge has nothing else
)

// fullShare is the part of the slots from which on a bridge counts as almost full.
const fullShare = 0.9

const seeTargets = "See the last error of each target, and run: tm2bridge check"

// Health says at a glance whether the bridge works. What strangers do, who are refused or come
// and go, is in its reason and never changes its state.
type Health struct {
	State string `json:"state"`
	// Ready tells that a node that dials from any side in use now could get a pair. Where none is
	// in use it tells that some tunnel leads to its node.
	Ready  bool   `json:"ready"`
	Reason string `json:"reason"`
	Cure   string `json:"cure,omitempty"`
	// Refused counts the nodes in Status.Waiting that should have a pair: those that are known,
	// unless they are blocked or misbehave, or have come back while their former pair was ending.
	Refused int `json:"refused"`
	// Sides tell of the nodes that dial from each side: native, then libp2p.
	Sides []SideHealth `json:"sides"`
}

// Judge returns the health of a bridge with this status.
func Judge(s bridge.Status) Health {
	sides := []SideHealth{judgeSide(s, bridge.InitiatorNative), judgeSide(s, bridge.InitiatorLibp2p)}
	refused, latest := refusedNow(s)
	h := judge(s, sides, refused, latest)
	h.Refused, h.Sides = refused, sides
	tunnels := tunnelsNow(s)
	h.Ready = s.Running && tunnels.away < tunnels.targets
	if slices.ContainsFunc(sides, func(side SideHealth) bool { return side.Used }) {
		h.Ready = !slices.ContainsFunc(sides, func(side SideHealth) bool { return side.Used && !side.Ready })
	}

	return h
}

// judge decides by the first rule that fits.
func judge(s bridge.Status, sides []SideHealth, refused int, latest bridge.WaitingStatus) Health {
	if !s.Running {
		return Health{State: StateDown, Reason: notRunning}
	}
	if h, broken := judgeTargets(s, sides); broken {
		return h
	}
	down, configured := 0, 0
	for _, t := range s.Targets {
		if t.Configured && t.State != bridge.TargetBlocked {
			configured++
			down += int(one(t.State == bridge.TargetDown))
		}
	}
	flapping, isFlapping := flappingNow(s)
	tunnels := tunnelsNow(s)
	switch {
	case refused > 0:
		return Health{State: StateDegraded,
			Reason: fmt.Sprintf("%s no pair: %s.", count2(refused, "node gets", "nodes get"), latest.Reason), Cure: latest.Cure}
	case isFlapping:
		return Health{State: StateDegraded,
			Reason: fmt.Sprintf("Pairs of the %s node %s end and come again, %s in a row.", flapping.Initiator, flapping.ID, times(flapping.Ended)),
			Cure:   flapping.Cure}
	case s.MaxPairs > 0 && float64(s.SlotsTaken) >= fullShare*float64(s.MaxPairs):
		return Health{State: StateDegraded, Reason: fmt.Sprintf("%d of %d slots are taken.", s.SlotsTaken, s.MaxPairs), Cure: moreSlots}
	case down > 0:
		return Health{State: StateDegraded,
			Reason: fmt.Sprintf("%d of %s cannot be reached.", down, count(configured, "configured target")),
			Cure:   "See the last error of the target, and run: tm2bridge check"}
	case tunnels.away > 0:
		return Health{State: StateDegraded, Reason: tunnels.reason(), Cure: bringBack}
	default:
		h := works(s, tunnels)
		h.Reason += strangers(s)

		return h
	}
}

// works is the health of a bridge at which nothing needs a look.
func works(s bridge.Status, tunnels tunnelHealth) Health {
	switch {
	case len(s.Pairs) > 0:
		return Health{State: StateOK,
			Reason: fmt.Sprintf("%s up, nobody who should have one is refused.", count2(len(s.Pairs), "pair is", "pairs are"))}
	case tunnels.open > 0:
		return Health{State: StateOK, Reason: fmt.Sprintf("%s open. No node is paired.", count2(tunnels.open, "tunnel is", "tunnels are"))}
	default:
		return Health{State: StateIdle, Reason: "Ready. No node is paired yet."}
	}
}

// judgeTargets reports whether the nodes of a side that is in use get no pair, because its
// targets cannot be used or its slots are taken.
func judgeTargets(s bridge.Status, sides []SideHealth) (h Health, broken bool) {
	used, without := 0, 0
	h = Health{State: StateDown, Reason: "No target is known, so that every node that dials is refused.",
		Cure: "Configure [bridge].libp2p_peers or [p2p].persistent_peers and reload, or run: tm2bridge connect"}
	if hasBlocked(s) {
		h.Reason = "No target is known that is not blocked, so that every node that dials is refused."
		h.Cure = "See whether [p2p].blocked_peers and blocked_ips have the configured nodes, and run: tm2bridge check"
	}
	var reasons []string
	for _, side := range sides {
		if !side.Used {
			continue
		}
		used++
		if !side.Ready {
			reasons, h.Cure = append(reasons, side.Reason), side.Cure
		}
		if !side.hasTargets {
			without++
		}
	}
	tunnels := tunnelsNow(s)
	switch {
	case used == 0 && tunnels.away < tunnels.targets:
		return Health{}, false // the bridge is there for them
	case used == 0 && tunnels.targets > 0:
		return Health{State: StateDown, Reason: tunnels.reason(), Cure: bringBack}, true
	case used == 0:
		return h, true
	case len(reasons) == 0:
		return Health{}, false
	case without < used: // some get a pair, or would if a slot were free
		h.State = StateDegraded
	}
	h.Reason = strings.Join(reasons, " ")

	return h, true
}

// meant are the reasons of refusals that need no cure.
var meant = map[string]bool{
	"blocked": true, "conduct": true, "presented": true, "replaced": true, "former pair": true, "ended": true, "closing": true,
}

// refusedNow counts the nodes that should have a pair and get none, and returns the latest.
func refusedNow(s bridge.Status) (n int, latest bridge.WaitingStatus) {
	for _, w := range s.Waiting {
		if meant[w.Reason] || !w.Known {
			continue
		}
		if n == 0 {
			latest = w
		}
		n++
	}

	return n, latest
}

// flappingNow returns the latest node that is known and whose pairs end again and again.
func flappingNow(s bridge.Status) (latest bridge.FlappingStatus, found bool) {
	for _, f := range s.Flapping {
		if f.Known {
			return f, true
		}
	}

	return bridge.FlappingStatus{}, false
}

// strangers says what the state does not: that strangers are refused.
func strangers(s bridge.Status) string {
	n, reason := 0, ""
	for _, w := range s.Waiting {
		if meant[w.Reason] || w.Known {
			continue
		}
		if n == 0 {
			reason = w.Reason
		}
		n++
	}
	if n == 0 {
		return ""
	}

	return fmt.Sprintf(" %s refused, the last: %s.", count2(n, "stranger is", "strangers are"), reason)
}

func hasBlocked(s bridge.Status) bool { return len(s.BlockedPeers)+len(s.BlockedIPs) > 0 }

func times(n int) string { return count2(n, "time", "times") }

func count(n int, noun string) string { return count2(n, noun, noun+"s") }

func count2(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}

	return fmt.Sprintf("%d %s", n, many)
}
