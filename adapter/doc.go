// Package adapter holds MultiplexSwitch, the compat.Switch of a TM2 node. It
// manages peers: it accepts and dials them, starts and removes them, redials
// those that must stay, and carries broadcasts. It knows no network stack; a
// compat.Transport (adapter/native, adapter/lp2p, adapter/dual) makes the
// connections.
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
// AddPeer, and a reactor may stop a peer from within that peer's Receive.
//
// A peer ID is reserved, with its slot, from before InitPeer until after the
// removal; limits and duplicates are decided under one lock.
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
