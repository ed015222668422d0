// Package bridge joins TM2 nodes that speak only the native protocol to nodes
// that speak only libp2p.
//
// Every connection that somebody makes to the bridge is paired with one that the
// bridge makes on the other side, and the two are coupled: bytes of a channel
// pass in order and with back-pressure, nothing is answered on behalf of a far
// node, and when one connection ends the other ends too. So each node keeps its
// own state about exactly one other node, as if they were connected directly.
//
//	native node  --native-->  bridge  --session, delegated identity-->  libp2p node
//	libp2p node  --session--> bridge  --native, derived identity-->     native node
//
// A node behind the bridge is presented under an identity that the bridge derives
// from its own key and the node's ID: the same node has the same identity each
// time, and two nodes never share one. On the libp2p side the identity says that
// it is delegated and by whom, and a delegated peer is never bridged again, so
// several bridges between the same networks make no loops. The presented NodeInfo
// has the far node's network, versions, channels and moniker. Its IP address is
// unspecified and the address of its RPC server is left out, so that discovery does
// not spread an address that nobody can dial.
//
// Peer discovery (channel 0x50) is not relayed: the bridge answers each side with
// peers of that side, and asks the libp2p side on its own account.
//
// When a pair ends because its target has ended, the node that dialed redials and
// gets another target: a configured one, else a libp2p node that has dialed the bridge
// or was found in the DHT, else one that a libp2p peer has told the bridge of. Only a
// failed dial puts others before a configured target; nothing else that a node causes
// does. docs/bridge.md has the rules and limits.
package bridge
