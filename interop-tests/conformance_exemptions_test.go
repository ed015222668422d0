package interoptests

import "github.com/tm2-libp2p/tm2-libp2p/compat/compattest"

// The promises that gno v1.7.1 does not keep, each with what it does instead. The files named
// are in its tm2/pkg/p2p.

// gnoTransportExemptions are those of its MultiplexTransport and its peers.
func gnoTransportExemptions() []compattest.Exemption {
	return []compattest.Exemption{
		{Promise: "Dial/Silence/Cancel", Why: "Dial uses its context for the TCP connect only; the handshake runs into its own 3 s (transport.go)"},
		{Promise: "Dial/Silence/Deadline", Why: "Dial uses its context for the TCP connect only; the handshake runs into its own 3 s (transport.go)"},
		{Promise: "Dial/Concurrent", Why: "connections are kept by remote address, so a second dial to a listener fails while the first is open (transport.go, activeConns)"},
		{Promise: "Accept/Concurrent", Why: "connections are kept by remote address, so a second dial to a listener fails while the first is open (transport.go, activeConns)"},
		{Promise: "Dial/WrongID/NoPeer", Why: "the dialer compares the ID after it has told its NodeInfo, so the listener gets a peer (transport.go, processConn)"},
		{Promise: "Admission/Acceptor", Why: "a PeerBehavior has no say in who comes in (types.go)"},
		{Promise: "Remove/Started", Why: "Remove only forgets the remote address; it closes nothing (transport.go)"},
		{Promise: "Remove/NeverStarted", Why: "Remove only forgets the remote address; it closes nothing (transport.go)"},
		{Promise: "Close/EndsDial", Why: "Close does not end a dial, which runs into the handshake's 3 s (transport.go)"},
		{Promise: "Close/Refuses", Why: "Dial works on after Close (transport.go)"},
		{Promise: "Close/EndsPeers", Why: "Close closes the listener only; peers live on (transport.go)"},
		{Promise: "Close/Twice", Why: "the second Close returns the listener's error (transport.go)"},
		{Promise: "Start/AfterStop", Why: "Start of a stopped service returns ErrAlreadyStarted (../service/service.go)"},
		{Promise: "Send/Empty", Why: "an empty message is taken (conn/connection.go)"},
		{Promise: "Receive/NoneAfterStop", Why: "what is in the read buffer is delivered after Stop (conn/connection.go, recvRoutine)"},
		{Promise: "FlushStop/Stops", Why: "FlushStop ends the connection but not the peer: IsRunning stays true and Quit open (peer.go)"},
		{Promise: "FlushStop/RemoteGone", Why: "FlushStop ends the connection but not the peer: Quit stays open (peer.go)"},
		{Promise: "FlushStop/Bounded", Why: "FlushStop writes without a deadline: a remote that does not read holds it up for ever (conn/connection.go)"},
	}
}

// gnoSwitchExemptions are those of its MultiplexSwitch on its MultiplexTransport.
func gnoSwitchExemptions() []compattest.Exemption {
	return []compattest.Exemption{
		{Promise: "Lifecycle/ReactorOrder", Why: "reactors are in a map and are called in any order (switch.go)"},
		{Promise: "InitPeer/ReturnedPeerStays", Why: "Receive gets the transport's peer, not what InitPeer returned (peer.go, createMConnection)"},
		{Promise: "Panic/InitPeer", Why: "nothing recovers: the process ends (switch.go, addPeer)"},
		{Promise: "Panic/AddPeer", Why: "nothing recovers: the process ends (switch.go, addPeer)"},
		{Promise: "Panic/RemovePeer", Why: "nothing recovers: the panic goes on into the caller of StopPeerForError, or ends the process (switch.go, stopAndRemovePeer)"},
		{Promise: "Receive/NoneAfterRemovePeer", Why: "what is in the read buffer is delivered after RemovePeer (conn/connection.go, recvRoutine)"},
		{Promise: "Receive/NeverEmpty", Why: "an empty message is taken (conn/connection.go)"},
		{Promise: "Broadcast/KeepsOrder", Why: "each peer and call has a goroutine of its own, so calls overtake each other (switch.go)"},
		{Promise: "Broadcast/NotBlockedByStuckPeer", Why: "all messages wait side by side, and each is dropped after 10 s, which a busy machine exceeds (switch.go, Broadcast; conn/connection.go, Send)"},
		{Promise: "StopPeer/Nil", Why: "a nil peer is dereferenced (transport.go, Remove)"},
		{Promise: "StopPeer/PeerOfAnotherSwitch", Why: "a peer is stopped whether it is in the set or not (switch.go, stopAndRemovePeer)"},
		{Promise: "Dial/SkipsNil", Why: "a nil address is dereferenced (types/netaddress.go, Same)"},
		{Promise: "Dial/WrongID", Why: "who answers in another's place gets a peer, for which the right dial is refused as a duplicate (transport.go, processConn)"},
		{Promise: "Peers/AnnounceReactorChannels", Why: "the NodeInfo is sent as the node made it (transport.go)"},
		{Promise: "Crossed/SilentConnectionGivesWay", Why: "a second connection of an ID is refused until a ping times out (switch.go, runAcceptLoop)"},
		{Promise: "Seed/HangsUp", Why: "there is no seed mode"},
		{Promise: "Events/Direction", Why: "events do not tell who has dialed (events/types.go)"},
		{Promise: "Events/LossyWithBufferOf100", Why: "a peer that ends while it is added is told as disconnected first (switch.go, addPeer)"},
		{Promise: "Limits/PersistentInboundExempt", Why: "a persistent peer that dials takes an inbound slot like any other (switch.go, runAcceptLoop)"},
		{Promise: "Shutdown/NothingFollows", Why: "what is in the read buffers is delivered after Stop (conn/connection.go, recvRoutine)"},
	}
}

// switchOnGnoExemptions are those of our switch on gno's transport. They depend on the
// transport alone.
func switchOnGnoExemptions() []compattest.Exemption {
	return []compattest.Exemption{
		{Promise: "Receive/NeverEmpty", Why: "an empty message is taken (conn/connection.go)"},
		{Promise: "Peers/AnnounceReactorChannels", Why: "the NodeInfo is sent as the node made it (transport.go)"},
		{Promise: "Crossed/SilentConnectionGivesWay", Why: "a connection cannot be asked for a sign of life (conn/connection.go)"},
		{Promise: "Dial/WrongID", Why: "who answers in another's place gets a peer, for which the right dial is refused as a duplicate (transport.go, processConn)"},
	}
}
