package bridgehttp

import (
	"fmt"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
)

const notRunning = "The bridge does not run."

const moreSlots = "Raise [bridge].max_pairs, or run another bridge with a key of its own."

// SideHealth tells whether a node that dials the bridge from a side could get a pair.
type SideHealth struct {
	Initiator string `json:"initiator"` // bridge.InitiatorNative or bridge.InitiatorLibp2p
	// Used tells that such nodes are meant to get pairs: targets are configured for them, or
	// others can be used.
	Used   bool   `json:"used"`
	Ready  bool   `json:"ready"`
	Reason string `json:"reason"`
	Cure   string `json:"cure,omitempty"`

	hasTargets bool // some can be used, and are configured or have proved it
}

// judgeSide returns the health of the side whose nodes have the initiator.
func judgeSide(s bridge.Status, initiator string) SideHealth {
	far := bridge.InitiatorLibp2p
	if initiator == far {
		far = bridge.InitiatorNative
	}
	var configured, blocked, refusing, proven, others int
	for _, t := range s.Targets {
		if t.Side != far {
			continue
		}
		configured += int(one(t.Configured))
		switch {
		case t.State == bridge.TargetBlocked:
			blocked += int(one(t.Configured))
		case t.State == bridge.TargetDown:
		case t.Refuses:
			refusing += int(one(t.Configured))
		case t.Configured || hasProved(s, t):
			proven++
		default:
			others++
		}
	}
	usable := proven
	if configured == 0 && len(s.Tunnels) == 0 {
		usable += others // the bridge lives from such targets, which are dialed once a node comes
	}
	h := SideHealth{Initiator: initiator, Used: configured > 0 || usable > 0, hasTargets: proven > 0}
	targets := count(configured, "configured "+far+" target")
	switch {
	case !s.Running:
		h.Reason = notRunning
	case !h.Used:
		h.Reason = fmt.Sprintf("No %s target is known, so that %s nodes get no pair.", far, initiator)
	case usable == 0 && blocked == configured:
		h.Reason = fmt.Sprintf("All of %s are blocked, so that %s nodes get no pair.", targets, initiator)
		h.Cure = "See whether [p2p].blocked_peers and blocked_ips have the configured nodes, and run: tm2bridge check"
	case usable == 0 && refusing > 0:
		h.Reason = fmt.Sprintf("None of %s takes a node, so that %s nodes get no pair.", targets, initiator)
		h.Cure = "See the last error of each target: one that is full needs more inbound slots, or name further targets."
	case usable == 0:
		h.Reason = fmt.Sprintf("None of %s can be reached, so that %s nodes get no pair.", targets, initiator)
		h.Cure = seeTargets
	default:
		h.judgeSlots(s)
	}

	return h
}

// hasProved reports whether a target that is not configured has answered the bridge when it was
// dialed last, or has a pair. Anybody can announce an address at which nobody answers.
func hasProved(s bridge.Status, t bridge.TargetStatus) bool {
	if !t.LastAnswer.IsZero() && t.Failures == 0 {
		return true
	}

	return slices.ContainsFunc(s.Pairs, func(p bridge.PairStatus) bool {
		target := p.Libp2pID
		if p.Initiator == bridge.InitiatorLibp2p {
			target = p.NativeID
		}

		return p.Initiator != t.Side && target == t.ID
	})
}

// judgeSlots tells whether a slot is free for a node of the side.
func (h *SideHealth) judgeSlots(s bridge.Status) {
	for _, side := range s.Sides {
		if side.Initiator == h.Initiator && side.MaxSlots > 0 && side.SlotsTaken >= side.MaxSlots {
			h.Reason = fmt.Sprintf("%d of %d slots for %s nodes are taken.", side.SlotsTaken, side.MaxSlots, h.Initiator)
			h.Cure = moreSlots

			return
		}
	}
	if s.MaxPairs > 0 && s.SlotsTaken >= s.MaxPairs {
		h.Reason, h.Cure = fmt.Sprintf("%d of %d slots are taken.", s.SlotsTaken, s.MaxPairs), moreSlots

		return
	}
	h.Ready, h.Reason = true, fmt.Sprintf("Ready for %s nodes.", h.Initiator)
}
