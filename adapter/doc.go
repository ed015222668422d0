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
// Package compat describes what reactors see. The switch keeps these promises
// by counting: whatever runs on behalf of a connection (its admission, a
// Receive) holds a reference, and stopping the connection shuts the gate before
// it. The removal (RemovePeer, out of the set, Transport.Remove,
// PeerDisconnected) runs once, on the goroutine that drops the last reference.
// So no Receive overlaps or follows RemovePeer, RemovePeer never precedes
// AddPeer, and a reactor may stop a peer from within that peer's Receive. A peer
// that is refused after some reactor has initialised it goes the same way, to
// PeerRejected.
//
// A peer ID is reserved, with its slot, from before InitPeer until after the
// removal; limits and duplicates are decided under one lock.
//
// # Who may come in
//
// Each direction has a limit, from which persistent and unconditional peers are
// exempt; the former take slots, the latter do not. Of those who dial us, one peer
// of each IPv4 address or IPv6 /64 network comes in unless WithAllowDuplicateIP
// says otherwise; exempt peers, and peers that an exempt one speaks for, come
// beside others.
//
// # Whom the switch dials
//
// Persistent peers, each on a schedule of its own; the hints of DialPeers, of
// which slow ones delay no other by more than one dial timeout; and, when there is
// nothing left to dial, a seed. One goroutine begins what is due and otherwise
// sleeps.
//
// # Two connections to one peer
//
// A second connection in the same direction is refused. Of two in opposite
// directions the one that was dialed by the node with the lower ID stays, which
// both ends decide alike. A peer whose former connection is still being removed
// waits for that.
//
// # What the switch leaves to others
//
// The switch neither listens nor closes the transport: whoever built the
// transport does, after Stop.
package adapter
