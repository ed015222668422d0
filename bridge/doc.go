// Package bridge joins TM2 nodes that speak only the native protocol to nodes
// that speak only libp2p.
//
// Each connection that a node makes to the bridge is paired with one that the bridge
// makes on the other side. The messages of a channel pass in order and with
// back-pressure, the bridge answers nothing for a node, and when one connection ends the
// other ends too. So each node has a connection to exactly one other node, as if they
// were connected directly.
//
//	native node  --native-->  bridge  --session, delegated identity-->  libp2p node
//	libp2p node  --session--> bridge  --native, derived identity-->     native node
//
// The bridge presents a node under an identity that it derives from its own key and the
// node's ID: the same node always has the same identity, and two nodes never share one.
// On the libp2p side the session has a delegation, and a delegated peer is never bridged
// again, so several bridges between the same networks make no loops. The presented
// NodeInfo has the node's network, versions, channels and moniker. Its IP is unspecified
// and its RPC address is left out, because nobody can dial the node there.
//
// Peer exchange (channel 0x50) is not relayed: the bridge answers each side with
// addresses of that side, and asks libp2p nodes for its own use.
//
// When a target ends its pair, the node that dialed the bridge redials and gets another
// target: a configured one, else a libp2p node that has dialed the bridge or was found in
// the DHT, else one that a libp2p node has named. docs/bridge.md has the rules and limits.
package bridge
