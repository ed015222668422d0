// Package adapter holds MultiplexSwitch, the compat.Switch of a TM2 node. It
// manages peers: it accepts and dials them, starts and removes them, redials
// those that must stay, and carries broadcasts. It knows no network stack; a
// compat.Transport (adapter/native, adapter/lp2p) makes the connections.
//
//	sw := adapter.NewMultiplexSwitch(transport,
//		adapter.WithReactor("mempool", mempool),
//		adapter.WithPersistentPeers(addrs),
//	)
//	if err := sw.Start(); err != nil {
//		return err
//	}
//	defer sw.Stop()
//
// # Life of a connection
//
// Package compat describes what reactors see. The switch keeps these promises by counting
// references. The admission of a connection and each Receive hold one, and none is taken once
// the connection is stopped. The removal (RemovePeer, out of the set, Transport.Remove,
// PeerDisconnected) runs once, on the goroutine that drops the last reference. So no Receive
// overlaps or follows RemovePeer, RemovePeer never precedes AddPeer, and a reactor may stop a
// peer from within that peer's Receive. A peer that is refused after a reactor has initialised
// it is removed in the same way, with PeerRejected in place of PeerDisconnected.
//
// A peer ID is reserved, with its slot, from before InitPeer until after the
// removal; limits and duplicates are decided under one lock.
//
// # Which peers are admitted
//
// Each direction has a limit. Persistent and unconditional peers are exempt; the former take
// slots, the latter do not. Of the peers that dial this node, and of those at a public IP that
// it dials, one is admitted for each IPv4 address or IPv6 /64 network unless
// WithAllowDuplicateIP says otherwise. Exempt peers, and peers that an exempt peer presents, are
// admitted beside others. A blocked peer is refused even if it is exempt. When the slots are
// taken, a peer of a crowded network may have to give way. A peer that breaks the protocol,
// or a host that keeps connecting and leaving, is refused for a time. Hints of a peer that
// tells wrong addresses are not dialed for a time.
//
// # Which peers are dialed
//
// The switch dials persistent peers, each on a schedule of its own, and the hints of
// DialPeers and DialHints. A slow dial delays no other by more than one dial timeout. When
// there is nothing left to dial, or no hint has brought a peer for 2 min, it dials a seed.
// Hints are spread over networks and sources. An operator may add, move, remove and block
// peers while the switch runs; see compat.PeerController.
//
// # Two connections to one peer
//
// A second connection in the same direction is refused, unless the first one is at least 2 s
// old and shows no sign of life within 1.5 s: then its remote has lost power or its network,
// and the second one takes its place. Of two in opposite directions the one that the node with
// the lower ID has dialed stays, which both ends decide alike. A new connection waits until the
// former one is removed.
//
// # What the switch leaves to others
//
// The switch neither listens nor closes the transport. The program that built the transport
// closes it, after Stop.
package adapter
