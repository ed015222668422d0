package bridge

import (
	"context"
	"errors"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// reasons are the reasons for which the bridge itself refuses nodes, with what an operator
// can do. The first that fits counts.
var reasons = []struct {
	err          error
	reason, cure string
}{
	{errBlocked, "blocked",
		"Nothing, if the block is meant. Otherwise take the node out of [p2p].blocked_peers or [p2p].blocked_ips " +
			"and reload, or run: tm2bridge unblock"},
	{errConduct, "conduct", "Nothing: the node or its host has misbehaved, and is let in again after a while. An exempt node is named " +
		"in [p2p].unconditional_peer_ids."},
	{errPresented, "presented",
		"Nothing: another bridge presents this node, and two bridges in a row would make loops. Let the node dial " +
			"this bridge itself."},
	{errReplaced, "replaced", "Nothing: the node has opened a newer connection. If it goes on, two nodes use one key."},
	{errFormer, "former pair", "Wait: the node's former pair is still ending."},
	{errFull, "full",
		"Raise [bridge].max_pairs or [bridge].max_pairs_per_ip, name the node in [p2p].unconditional_peer_ids if it " +
			"is native, or run another bridge."},
	{errGaveWay, "gave way",
		"Raise [bridge].max_pairs, name the node in [p2p].unconditional_peer_ids, or run another bridge: the network of the " +
			"node has more pairs than that of a newcomer."},
	{errNoFurther, "no further target", "Configure at least as many targets as the bridge has identities ([bridge].identities)."},
	{errDuplicateIP, "duplicate IP",
		"Set [p2p].allow_duplicate_ip if several nodes at one IP may share a target, or configure more targets."},
	{errSpared, "spared",
		"Nothing: nodes have come and gone again and again, and a target would refuse this bridge for it. Nodes in " +
			"[p2p].unconditional_peer_ids are not held back, and those that have had a pair for a minute less than others."},
	{errNoTargets, "no target",
		"Configure targets: [bridge].libp2p_peers for native nodes, [p2p].persistent_peers for libp2p nodes. Or " +
			"run: tm2bridge connect"},
}

// kinds are what the refusal by a target means for the node.
var kinds = map[compat.DialFailure][2]string{
	compat.DialOtherNetwork: {"incompatible",
		"The node's network, versions or channels do not fit those of the targets: compare both with: tm2net probe"},
	compat.DialBusy: {"targets full",
		"Every target that could be reached is full. Raise max_num_inbound_peers on a target, or configure more " +
			"targets."},
	compat.DialUnreachable: {"targets down",
		"No target that is free for the node can be reached: run tm2bridge check. One that has a pair with " +
			"another node of the same IP is not free, unless [p2p].allow_duplicate_ip is set."},
	compat.DialTimedOut: {"targets silent",
		"No target that is free for the node has answered in time: see the list of targets, and run tm2bridge " +
			"check"},
	compat.DialWrongID: {"wrong ID", "Another node answers at a target's address. Mend the ID in the configuration."},
	compat.DialForeign: {"foreign",
		"Something else than a node answers at a target's address. Mend the address in the configuration."},
	compat.DialNotTM2: {"foreign",
		"What answers at a target's address is no TM2 node. Mend the address in the configuration."},
	compat.DialRefused: {"refused", "The target does not want the node: its log has the reason."},
	compat.DialDuplicate: {"duplicate",
		"The target is connected to the node already. If it goes on, two bridges use one key."},
	compat.DialClosing: {"closing", "Wait: the target shuts down."},
	compat.DialLocal:   {"ended", "Nothing: the node or the bridge ended the attempt."},
}

// explain returns why a node got no pair, in one of few words, and what an operator can do.
func explain(err error) (reason, cure string) {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.reason, r.cure
		}
	}
	failure := compat.ClassifyDial(err)
	if errors.Is(err, errNoCounterpart) && errors.Is(err, context.DeadlineExceeded) {
		failure = compat.DialTimedOut
	}
	if k, known := kinds[failure]; known {
		return k[0], k[1]
	}

	return "other", "See the reason, and the log of the bridge."
}
